// Goals, limits, reasons, launch texts and bad input of `railwright plan`, as a user meets them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>
#include <set>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string plan_7b =
    "plan --model llama-2-7b --cluster dgx-h100-4 --accelerators 16 --global-batch 64 "
    "--sequence 4096 ";

nlohmann::json planned(const std::string& more) {
  const Outcome run = run_command(plan_7b + "--json " + more);
  INFO(run.err);
  REQUIRE(run.status == 0);
  return run.json();
}

}  // namespace

TEST_CASE("each objective is at its least in the best plan of its own search") {
  const auto time = planned("--top 1 --objective time")["plans"][0];
  const auto cost = planned("--top 1 --objective cost")["plans"][0];
  const auto energy = planned("--top 1 --objective energy")["plans"][0];
  const auto least = [&](const char* key, const nlohmann::json& best) {
    for (const auto& other : {time, cost, energy})
      CHECK(best[key].get<double>() <= other[key].get<double>() * (1 + 1e-12));
  };
  least("step_time_s", time);
  least("cost_usd", cost);
  least("energy_j", energy);
}

TEST_CASE("a price is taken per accelerator and hour") {
  const auto plan = planned("--top 1 --price 7.2/h")["plans"][0];
  CHECK(plan["cost_usd"].get<double>() ==
        Approx(16 * 7.2 / 3600 * plan["step_time_s"].get<double>()));
  const double tokens = 64.0 * 4096;
  CHECK(plan["tokens_per_dollar"].get<double>() == Approx(tokens / plan["cost_usd"].get<double>()));
  const Outcome unpriced = run_command(
      "plan --model gpt2 --cluster dgx-a100 --accelerators 8 --global-batch 64 --sequence 1024 "
      "--json --top 1");
  CHECK(unpriced.status == 0);
}

TEST_CASE("head-room is kept, and a limit of the bubble too") {
  const auto roomy = planned("--top 40 --memory-headroom 50%");
  for (const auto& plan : roomy["plans"]) CHECK(plan["peak_memory_bytes"] <= 40ull << 30);
  const auto bubble = [](const nlohmann::json& plan) {
    for (const auto& entry : plan["blame"])
      if (entry["cause"] == "pipeline_bubble")
        return entry["seconds"].get<double>() / plan["step_time_s"].get<double>();
    return 0.0;
  };
  const auto bubbles = [&](const std::string& more) {
    std::vector<double> shares;
    const auto document = planned("--top 40 --fix pp=2,vpp=1 " + more);
    for (const auto& plan : document["plans"]) shares.push_back(bubble(plan));
    return shares;
  };
  const auto all = bubbles("");
  const auto [least, most] = std::minmax_element(all.begin(), all.end());
  REQUIRE(*least < *most);
  const double limit = (*least + *most) / 2;
  const auto limited = bubbles("--max-bubble " + std::to_string(limit));
  CHECK_FALSE(limited.empty());
  for (const double share : limited) CHECK(share <= limit + 1e-6);
  const Outcome none = run_command(plan_7b +
                                   "--fix pp=4,micro_batch=16,dp=4,vpp=1,schedule=1f1b,"
                                   "tp=1 --max-bubble 1%");
  CHECK(none.status == 3);
  CHECK_THAT(none.err, Contains("waiting for other stages") && Contains("--max-bubble"));
  // The limit is that of the pipeline as it would run: plain 1F1B waits longer than this.
  const std::string fixed = "--top 40 --fix pp=4,micro_batch=1,dp=4,tp=1,recompute=full";
  const double plain = bubble(planned(fixed + ",vpp=1,schedule=1f1b")["plans"][0]);
  const auto others = planned(fixed + " --max-bubble " + std::to_string(0.6 * plain));
  REQUIRE_FALSE(others["plans"].empty());
  for (const auto& plan : others["plans"]) {
    CHECK(bubble(plan) <= 0.6 * plain);
    CHECK((plan["vpp"] > 1 || plan["schedule"] == "zb-h1"));
  }
}

TEST_CASE("exhaustive and pruned search end with the same best plans") {
  const auto all = planned("--top 5 --search exhaustive"),
             some = planned("--top 5 --search pruned");
  CHECK(all["search"] == "exhaustive");
  CHECK(some["search"] == "pruned");
  CHECK(all["points_pruned"] == 0);
  CHECK(all["plans"][0] == some["plans"][0]);
  CHECK(some["points_total"] == all["points_total"]);
}

TEST_CASE("the answer has its reasons and a front that the best plan is on") {
  const auto document = planned("");
  std::set<std::string> about;
  for (const auto& reason : document["reasons"]) {
    about.insert(reason["about"]);
    CHECK_FALSE(reason["text"].get<std::string>().empty());
  }
  for (const char* subject : {"limit", "next", "baseline"}) CHECK(about.contains(subject));
  REQUIRE_FALSE(document["pareto"].empty());
  CHECK(document["pareto"][0]["step_time_s"].get<double>() ==
        Approx(document["plans"][0]["step_time_s"].get<double>()));
  CHECK_THAT(run_command(plan_7b).out, Contains("Why:") && Contains("Pareto"));
}

TEST_CASE("memory that forbids a better plan is named, and with that much it wins") {
  const auto tight = run_command(
      "plan --model llama-3.1-8b --cluster dgx-h100-4 --accelerators 8 --global-batch 32 "
      "--sequence 8192 --memory-headroom 60% --json");
  REQUIRE(tight.status == 0);
  std::string memory;
  const auto document = tight.json();
  for (const auto& reason : document["reasons"])
    if (reason["about"] == "memory") memory = reason["text"];
  CHECK_THAT(memory, Contains("memory binds") && Contains("of 32.0 GiB"));
}

TEST_CASE("too much head-room is answered with as much as there can be") {
  const std::string plan =
      "plan --model llama-3.1-8b --cluster dgx-h100-4 --accelerators 8 --global-batch 32 "
      "--sequence 8192 --memory-headroom ";
  const auto refused = run_command(plan + "80%");
  CHECK(refused.status == 3);
  std::smatch hint;
  REQUIRE(std::regex_search(refused.err, hint, std::regex("use --memory-headroom (\\d+)%")));
  const int most = std::stoi(hint[1]);
  CHECK(run_command(plan + std::to_string(most) + "%").status == 0);
  CHECK(run_command(plan + std::to_string(most + 1) + "%").status == 3);
}

TEST_CASE("the best plan is emitted for a framework, or nothing is") {
  const Folder folder;
  const Outcome shown = run_command(plan_7b + "--emit megatron --fix schedule=1f1b,zero_stage=1");
  INFO(shown.err);
  REQUIRE(shown.status == 0);
  CHECK_THAT(shown.out, Contains("--tensor-model-parallel-size") && !Contains("MFU"));
  const std::string script = folder.file("job.sh"), plan = folder.file("it's a plan.json");
  REQUIRE(
      run_command(plan_7b + "--emit sbatch --emit-to " + script + " -o \"" + plan + "\"").status ==
      0);
  CHECK_THAT(read_text(script), Contains("#SBATCH --nodes=2") && Contains("it'\\''s a plan.json"));
  const auto refuses = [&](const std::string& more, const std::string& words) {
    const Outcome run = run_command(plan_7b + more);
    INFO(more << "\n" << run.err);
    CHECK(run.status == 2);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains(words));
  };
  const std::string unwritten = folder.file("none.json");
  refuses("--emit fairscale", "megatron, torchtitan, deepspeed, nemo, sbatch");
  refuses("--emit sbatch", "write -o plan.json too");
  refuses("--emit megatron --json", "--emit-to FILE");
  refuses("--emit-to " + unwritten, "--emit-to without --emit");
  refuses("--emit torchtitan --fix zero_stage=1 -o " + unwritten, "torchtitan: zero_stage=1");
  CHECK_FALSE(std::filesystem::exists(unwritten));
}

TEST_CASE("limits and prices that are none are refused with what to write") {
  const auto refuses = [](const std::string& more, const std::string& words) {
    const Outcome run = run_command(plan_7b + more);
    INFO(more << "\n" << run.err);
    CHECK(run.status == 2);
    CHECK_THAT(run.err, Contains(words));
  };
  refuses("--price free", "write dollars per accelerator and hour");
  refuses("--price -3", "write dollars");
  refuses("--memory-headroom lots", "write 10% or 0.1");
  refuses("--memory-headroom 100%", "less than 100%");
  refuses("--max-bubble 120%", "from 0% to 100%");
  refuses("--search quick", "auto, exhaustive, pruned");
  refuses("--placement random", "auto, linear");
}

TEST_CASE("bad models and sizes say which rule failed and what satisfies it") {
  const Folder folder;
  const std::string rest =
      " --cluster dgx-h100-4 --accelerators 8 --global-batch 8 --sequence 1024 ";
  const auto refuses = [&](const std::string& arguments, int status, const std::string& words) {
    const Outcome run = run_command(arguments);
    INFO(arguments << "\n" << run.err);
    CHECK(run.status == status);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains("error:") && Contains(words));
  };
  const std::string sizeless = folder.write(
      "config.json", R"({"model_type": "llama", "num_hidden_layers": 4, "vocab_size": 1000})");
  refuses("plan --model " + sizeless + rest, 2, "hidden_size");
  const std::string unknown =
      folder.write("odd.json", R"({"model_type": "mamba", "hidden_size": 64, "num_hidden_layers": 4,
      "num_attention_heads": 4, "vocab_size": 1000, "intermediate_size": 256})");
  refuses("plan --model " + unknown + rest, 2, "mamba");
  refuses("plan --model gpt2 --fix tp=8" + rest, 2, "heads % tp: 12 is not divisible by 8");
  refuses("plan --model gpt2 --fix tp=8" + rest, 2, "nearest that work: tp=4");
  refuses(
      "plan --model llama-2-7b --cluster dgx-h100-4 --accelerators 8 --global-batch 7 "
      "--sequence 4096 --fix dp=8",
      2, "batch");
  refuses(
      "plan --model llama-2-7b --cluster dgx-h100-4 --accelerators 8 --global-batch 8 "
      "--sequence 4194304",
      3, "use --sequence");
}
