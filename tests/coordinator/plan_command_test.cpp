#include <catch2/catch.hpp>

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
    CHECK(has_keys(plan, {"tp", "pp", "vpp", "cp", "ep", "dp", "zero_stage", "sequence_parallel",
                          "micro_batch", "recompute", "schedule", "placement", "step_time_s", "mfu",
                          "tokens_per_s_per_accelerator", "peak_memory_bytes", "blame"}));
    for (const char* absent : {"energy_j", "cost_usd", "uncertainty"})
      CHECK(!plan.contains(absent));
    std::int64_t picoseconds = 0;
    for (const auto& entry : plan["blame"]) picoseconds += entry["picoseconds"].get<std::int64_t>();
    CHECK(static_cast<double>(picoseconds) * 1e-12 ==
          Approx(plan["step_time_s"].get<double>()).epsilon(1e-12));
  }
  CHECK(document["points_total"] ==
        document["points_rejected_memory"].get<int>() + document["points_evaluated"].get<int>());
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
  refuses(base + "--accelerators 32 --global-batch 128 --objective cost", "objective");
  refuses(base + "--accelerators 32 --global-batch 128 --precision int8", "bf16");
  refuses(base + "--accelerators 31 --global-batch 128", "divide");
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
