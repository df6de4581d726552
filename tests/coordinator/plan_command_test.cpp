#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <regex>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string plan_8b =
    "plan --model llama-3.1-8b --cluster dgx-h100-4 --accelerators 32 --global-batch 128 "
    "--sequence 8192 ";

bool has_keys(const nlohmann::json& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (!object.contains(key)) {
      UNSCOPED_INFO("missing key " << key);
      return false;
    }
  return true;
}

}  // namespace

TEST_CASE("plan --json has the keys of the contract, and blame adds up to the step") {
  const Outcome run = run_command(plan_8b + "--top 3 --json");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto document = run.json();
  CHECK(has_keys(document, {"plans", "baseline", "points_total", "points_rejected_memory",
                            "points_evaluated", "wall_s"}));
  REQUIRE(document["plans"].size() == 3);
  for (const auto& plan : document["plans"]) {
    CHECK(has_keys(plan, {"tp",
                          "pp",
                          "vpp",
                          "cp",
                          "ep",
                          "etp",
                          "dp",
                          "zero_stage",
                          "shard",
                          "sequence_parallel",
                          "micro_batch",
                          "recompute",
                          "schedule",
                          "placement",
                          "step_time_s",
                          "mfu",
                          "energy_j",
                          "cost_usd",
                          "tokens_per_s_per_accelerator",
                          "peak_memory_bytes",
                          "uncertainty",
                          "blame"}));
    std::int64_t picoseconds = 0;
    for (const auto& entry : plan["blame"]) picoseconds += entry["picoseconds"].get<std::int64_t>();
    CHECK(static_cast<double>(picoseconds) * 1e-12 ==
          Approx(plan["step_time_s"].get<double>()).epsilon(1e-12));
  }
  CHECK(document["points_total"] == document["points_rejected_memory"].get<int>() +
                                        document["points_pruned"].get<int>() +
                                        document["points_evaluated"].get<int>());
}

TEST_CASE("plan lists the best of each family, and all of them as its hint says") {
  const Outcome families = run_command(plan_8b + "--top 3");
  std::smatch hint;
  REQUIRE(std::regex_search(families.out, hint,
                            std::regex("\n(\\d+) more that differ .*: (--all --top \\d+)")));
  const auto listed = run_command(plan_8b + "--top 3 --json").json()["plans"];
  int alike = 0;
  for (const auto& plan : listed) alike += plan["alike"].get<int>();
  CHECK(alike == std::stoi(hint[1]));
  REQUIRE(alike > 0);
  const auto all = run_command(plan_8b + hint[2].str() + " --json").json()["plans"];
  CHECK(static_cast<int>(all.size()) == alike + 3);
  for (const auto& plan : all) CHECK(plan.value("alike", 0) == 0);
  CHECK(all[0]["step_time_s"] == listed[0]["step_time_s"]);
  CHECK(run_command(plan_8b + "--top 1000").status == 0);
  CHECK(run_command(plan_8b + "--top 1001").status == 2);
}

TEST_CASE("plan -o writes a plan that emulate reads") {
  const Folder folder;
  const std::string path = folder.file("plan.json");
  REQUIRE(run_command(plan_8b + "-o " + path).status == 0);
  const Outcome emulated = run_command("emulate --json --plan " + path);
  INFO(emulated.err);
  REQUIRE(emulated.status == 0);
  const auto plan = nlohmann::json::parse(read_text(path));
  CHECK(plan["degrees"]["tp"].get<int>() > 0);
  CHECK(emulated.json()["step_time_s"].get<double>() > 0);
}

TEST_CASE("plan prints a table beside the rule of thumb") {
  const Outcome run = run_command(plan_8b + "--top 2");
  REQUIRE(run.status == 0);
  CHECK_THAT(run.out, Contains("rule") && Contains("MFU") && Contains("bounded by"));
}

TEST_CASE("what cannot be planned is refused with the rule, a hint, status 2 and no file") {
  const Folder folder;
  const std::string out = " -o " + folder.file("plan.json");
  const auto refuses = [&](const std::string& arguments, const std::string& words) {
    const Outcome run = run_command(arguments + out);
    INFO(arguments << "\n" << run.err);
    CHECK(run.status == 2);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains("error:") && Contains(words));
    CHECK(folder.empty());
  };
  const std::string base = "plan --model llama-3.1-8b --cluster dgx-h100-4 --sequence 8192 ";
  refuses(base + "--accelerators 64 --global-batch 128", "has 32");
  refuses(base + "--accelerators 32 --global-batch 128 --fix tp=3", "tp");
  refuses(base + "--accelerators 32 --global-batch 128 --fix pp=7", "pp");
  refuses(base + "--accelerators 32 --global-batch 128 --fix tpp=2", "tpp");
  refuses(base + "--accelerators 32 --global-batch 128 --fix tp=1073741824,pp=1073741824,dp=16",
          "does not divide 32");
  refuses(base + "--accelerators 32 --global-batch 9223372036854775807", "between 1 and");
  refuses(base + "--accelerators 32 --global-batch -1", "between 1 and");
  refuses(base + "--accelerators 32 --global-batch 128 --objective speed", "time, cost, energy");
  refuses(base + "--accelerators 32 --global-batch 128 --precision int8", "bf16");
  refuses(base + "--accelerators 31 --global-batch 128", "divide");
  refuses(base + "--accelerators 32 --global-batch 128 --fix dp=2,tp=x",
          "error: --fix: tp: expected a whole number from 1 to 1073741824, found 'x'");
  refuses(base + "--accelerators 32 --global-batch 128 --fix dp",
          "error: --fix: 'dp' has no value");
  refuses(base + "--accelerators 32 --global-batch 128 --fix zero_stage=4",
          "write zero_stage=0, 1, 2 or 3");
  refuses(
      "plan --model gpt2 --cluster dgx-h100-4 --accelerators 8 --global-batch 8 --sequence 2048",
      "longer than the 1024 learned positions of gpt2; write --sequence 1024 or less");
  refuses(
      "plan --model no-such-model --cluster dgx-h100-4 --accelerators 8 --global-batch 8 "
      "--sequence 128",
      "no-such-model");
  refuses(
      "plan --model llama-3.1-8b --cluster no-such-cluster --accelerators 8 --global-batch 8 "
      "--sequence 128",
      "no-such-cluster");
}

TEST_CASE("a sequence beyond reason fits nowhere or is refused, and ends nothing by a signal") {
  for (const char* sequence : {"9223372036854775807", "2147483648", "100000000"}) {
    INFO(sequence);
    const Outcome run = run_command(
        "plan --model llama-3.1-8b --cluster dgx-h100-4 --accelerators 32 --global-batch 128 "
        "--sequence " +
        std::string(sequence));
    CHECK((run.status == 2 || run.status == 3));
    CHECK_THAT(run.err, Contains("error:"));
  }
}

TEST_CASE("a model file that is no JSON is refused with its place") {
  const Folder folder;
  const std::string model = folder.write("model.json", "{\"hidden_size\": 4096,,}");
  const Outcome run = run_command("plan --model " + model +
                                  " --cluster dgx-h100-4 --accelerators 8 --global-batch 8 "
                                  "--sequence 128");
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("model.json:1:"));
}

TEST_CASE("a model that cannot fit ends with status 3 and says what binds and by how much") {
  const Folder folder;
  const Outcome run = run_command(
      "plan --model llama-3.1-405b --cluster dgx-h100-4 --accelerators 8 --global-batch 8 "
      "--sequence 8192 -o " +
      folder.file("plan.json"));
  CHECK(run.status == 3);
  CHECK_THAT(run.err, Contains("GiB too much") && Contains("h100"));
  CHECK(folder.empty());
}

TEST_CASE("an output that cannot be written is an error, not a half-written file") {
  const Outcome run = run_command(plan_8b + "-o /nonexistent/folder/plan.json");
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("/nonexistent/folder"));
}

TEST_CASE("a precision without a rate is refused with those that the accelerator has") {
  const auto refuses = [](const std::string& arguments, const std::string& words) {
    const Outcome run = run_command(arguments);
    INFO(arguments << "\n" << run.err);
    CHECK(run.status == 2);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains(words));
  };
  refuses(plan_8b + "--precision fp4",
          "'h100-sxm5-80gb' has no rate for fp4; choose --precision among those that it has: fp32, "
          "tf32, bf16, fp16, fp8");
  const std::string training = " --model llama-3.1-8b --global-batch 8 --sequence 8192 ";
  refuses("plan --cluster mixed-h100-a100 --accelerators 32 --precision fp8" + training,
          "'a100-sxm4-80gb' has no rate for fp8");
  refuses("emulate --cluster dgx-h100 --parallel tp=8 --precision fp4" + training, "fp4");
  for (const char* precision : {"mxfp8", "nvfp4"})
    refuses(plan_8b + "--precision " + precision,
            fmt::format("those with a rate for {}: b200-sxm-180gb, gb200-nvl72", precision));
  refuses("emulate --cluster dgx-h100 --parallel tp=8 --precision nvfp4" + training,
          "has no rate for nvfp4");
}

TEST_CASE("block formats are planned at the rate of their width, which is said") {
  const std::string base =
      "--model llama-3.1-8b --cluster gb200-nvl72 --global-batch 32 --sequence 8192 --precision ";
  const auto best = [&](const std::string& precision) {
    const Outcome run = run_command("plan --accelerators 8 --json " + base + precision);
    INFO(run.err);
    REQUIRE(run.status == 0);
    const auto json = run.json();
    const bool said = json.value("assumptions", nlohmann::json::array())
                          .dump()
                          .find("for " + precision + ": that for") != std::string::npos;
    CHECK(said == (precision == "mxfp8" || precision == "nvfp4"));
    return json["plans"][0]["step_time_s"].get<double>();
  };
  CHECK(best("mxfp8") == best("fp8"));
  CHECK(best("nvfp4") < best("mxfp8"));
  const Outcome emulated = run_command("emulate --parallel dp=8,zero_stage=1 " + base + "mxfp8");
  CHECK(emulated.status == 0);
  CHECK_THAT(emulated.err, Contains("for mxfp8: that for fp8 is taken"));
}

TEST_CASE("a sequence beyond the model's positions is planned with one warning") {
  const std::string base =
      "--model llama-2-7b --cluster dgx-h100 --global-batch 8 --sequence 8192 ";
  const std::string warning =
      "warning: a sequence of 8192 is longer than the 4096 positions that llama-2-7b was made for";
  const Outcome planned = run_command("plan --accelerators 8 " + base);
  CHECK(planned.status == 0);
  CHECK_THAT(planned.err, Contains(warning));
  CHECK(planned.err.find("warning", planned.err.find("warning") + 1) == std::string::npos);
  const Outcome emulated = run_command("emulate --parallel tp=8 " + base);
  CHECK(emulated.status == 0);
  CHECK_THAT(emulated.err, Contains(warning));
  CHECK_THAT(run_command(plan_8b).err, !Contains("warning"));
}

TEST_CASE("an emulation says which calibration it uses outside of the measured range") {
  const Outcome run = run_command(
      "emulate --model llama-3.1-8b --cluster dgx-h100 --parallel tp=8 --global-batch 8 "
      "--sequence 8192");
  REQUIRE(run.status == 0);
  CHECK_THAT(run.err, Contains("note: calibration: link_efficiency of 'nvlink-4' was measured from "
                               "1 GiB to 16 GiB and is used from"));
}

TEST_CASE("plan and emulate take a calibration, and a plan of another one is noticed") {
  const Folder folder;
  const std::string slow =
      " --calibration " + folder.write("slow.json", R"({"schema_version": 1, "entries": [
      {"subject": "h100-sxm5-80gb", "parameter": "gemm_efficiency", "unit": "1", "value": 0.2,
       "n": 0, "source": "a test"}]})");
  const std::string usual = folder.file("usual.json"), slowed = folder.file("slowed.json");
  REQUIRE(run_command(plan_8b + "-o " + usual).status == 0);
  REQUIRE(run_command(plan_8b + slow + " -o " + slowed).status == 0);
  const auto of = [](const std::string& file) { return nlohmann::json::parse(read_text(file)); };
  CHECK(of(slowed)["calibration_sha256"] != of(usual)["calibration_sha256"]);
  const auto emulated = [](const std::string& plan, const std::string& more) {
    return run_command("emulate --json --plan " + plan + more);
  };
  const Outcome same = emulated(slowed, slow), other = emulated(slowed, "");
  CHECK_THAT(same.err, !Contains("another calibration"));
  CHECK_THAT(other.err, Contains("the plan was made with another calibration"));
  CHECK_THAT(emulated(usual, slow).err, Contains("the plan was made with another calibration"));
  CHECK_THAT(emulated(usual, "").err, !Contains("another calibration"));
  // Most of the step are matrix products, at a fifth of the peak instead of four fifths.
  CHECK(same.json()["step_time_s"] > 2 * other.json()["step_time_s"].get<double>());
  for (const char* command : {"plan", "emulate"})
    CHECK(run_command(std::string(command) + " --model llama-3.1-8b --cluster dgx-h100-4 " +
                      (command[0] == 'p' ? "--accelerators 8" : "--parallel tp=8") +
                      " --global-batch 8 --sequence 8192 --calibration " + folder.file("missing"))
              .status == 2);
}

TEST_CASE("a model folder without config.json is called that") {
  const Folder folder;
  const Outcome run = run_command("plan --model " + folder.file("") +
                                  " --cluster dgx-h100-4 --accelerators 8 --global-batch 8 "
                                  "--sequence 128");
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("this folder has no config.json"));
}

TEST_CASE("what does not fit ends with the change that would make it fit") {
  const std::string fixed = "plan --model llama-3.1-70b --cluster dgx-h100-4 --global-batch 32 ";
  const Outcome freed =
      run_command(fixed + "--accelerators 32 --sequence 4096 --fix tp=1,pp=1,zero_stage=0");
  CHECK(freed.status == 3);
  CHECK_THAT(freed.err,
             Contains("GiB too much") && Contains("leave out --fix") && Contains("GiB of memory"));
  const Outcome more = run_command(fixed + "--accelerators 8 --sequence 4096 --json");
  CHECK(more.status == 3);
  CHECK(more.json()["plans"].empty());
  CHECK_THAT(more.json()["infeasible_reason"].get<std::string>(), Contains("GiB too much"));
  const std::string hint = more.json()["infeasible_hint"];
  const std::string words = "use --accelerators ";
  REQUIRE_THAT(hint, Contains(words));
  // What the hint says is true, and a little less is not enough.
  const int enough = std::stoi(hint.substr(hint.find(words) + words.size()));
  const auto planned = [&](int accelerators) {
    return run_command(fixed + "--accelerators " + std::to_string(accelerators) +
                       " --sequence 4096")
        .status;
  };
  CHECK(enough <= 16);
  CHECK(planned(enough) == 0);
  CHECK(planned(enough * 4 / 5) != 0);
}
