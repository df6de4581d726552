#include "coordinator/planner/emit/emit.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using Catch::Matchers::Contains;

namespace {

emulator::Plan plan_of(const std::string& model, const std::string& cluster, std::int64_t batch,
                       std::int64_t sequence, const std::string& degrees) {
  workload::Training training;
  training.model = *workload::load_model(model);
  training.global_batch = batch;
  training.sequence = sequence;
  const auto plan =
      emulator::make_plan(*topology::load_cluster(cluster), training,
                          *workload::parse_degrees(degrees), topology::default_calibration());
  REQUIRE(plan.has_value());
  return *plan;
}

// The file holds it; UPDATE_GOLDEN=1 writes it.
void check_golden(const std::string& name, const std::string& text) {
  const std::string path = test::source_file("tests/golden/emit/" + name);
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  INFO(path);
  CHECK(test::read_text(path) == text);
}

std::string refusal(Framework framework, const emulator::Plan& plan) {
  const auto text = emit(framework, plan);
  if (text) return "emitted";
  std::string all;
  for (const ConfigError& error : text.error()) all += error.message + "; " + error.hint + "\n";
  return all;
}

}  // namespace

TEST_CASE("plans are written in the words of each framework") {
  const auto dense = plan_of("llama-3.1-70b", "dgx-h100-4", 64, 8192,
                             "tp=4,pp=4,vpp=2,dp=2,zero_stage=1,sequence_parallel=true");
  check_golden("megatron-70b.args", *emit(Framework::megatron, dense));
  check_golden("nemo-70b.overrides", *emit(Framework::nemo, dense));
  const auto experts =
      plan_of("mixtral-8x7b", "dgx-h100-4", 64, 4096,
              "tp=2,pp=2,cp=2,dp=4,ep=4,zero_stage=1,sequence_parallel=true,recompute=full");
  check_golden("megatron-mixtral.args", *emit(Framework::megatron, experts));
  const auto copies = plan_of("llama-3.1-8b", "dgx-h100-4", 128, 8192,
                              "tp=2,dp=16,zero_stage=3,shard=4,sequence_parallel=true");
  check_golden("megatron-fsdp.args", *emit(Framework::megatron, copies));
  const auto parts =
      plan_of("llama-3.1-8b", "dgx-h100-4", 128, 8192,
              "cp=2,dp=16,zero_stage=3,shard=4,context=all_to_all,recompute=selective");
  check_golden("deepspeed-mics.json", *emit(Framework::deepspeed, parts));
  const auto sharded = plan_of("llama-3.1-8b", "dgx-h100-4", 128, 8192,
                               "tp=2,pp=2,dp=8,zero_stage=3,sequence_parallel=true,micro_batch=2,"
                               "recompute=full");
  check_golden("torchtitan-8b.toml", *emit(Framework::torchtitan, sharded));
  const auto stages = plan_of("llama-3.1-8b", "dgx-h100-4", 128, 4096,
                              "tp=1,pp=2,dp=16,zero_stage=1,recompute=full");
  const std::string config = *emit(Framework::deepspeed, stages);
  check_golden("deepspeed-8b.json", config);
  const auto json = nlohmann::json::parse(config);
  // train_batch_size = micro-batch x accumulation x data-parallel ranks, or DeepSpeed refuses it.
  CHECK(json["train_batch_size"].get<int>() == json["train_micro_batch_size_per_gpu"].get<int>() *
                                                   json["gradient_accumulation_steps"].get<int>() *
                                                   16);
}

TEST_CASE("what a framework cannot express is refused by name") {
  const auto refused = [](Framework framework, const std::string& degrees,
                          const std::string& words) {
    INFO(degrees);
    CHECK_THAT(refusal(framework, plan_of("llama-3.1-8b", "dgx-h100-4", 128, 4096, degrees)),
               Contains(words));
  };
  refused(Framework::megatron, "tp=2,pp=4,dp=4,schedule=zb-h1", "zb-h1");
  refused(Framework::megatron, "pp=2,dp=16,zero_stage=2", "no stages");
  refused(Framework::megatron, "dp=32,zero_stage=1,shard=8", "shard=8");
  refused(Framework::nemo, "dp=32,zero_stage=3", "optimizer alone");
  refused(Framework::torchtitan, "dp=32,zero_stage=1", "zero_stage=1");
  refused(Framework::torchtitan, "tp=2,dp=16", "sequence_parallel=false");
  refused(Framework::deepspeed, "tp=2,pp=2,vpp=2,dp=8", "one chunk per stage");
  refused(Framework::deepspeed, "pp=2,dp=16,zero_stage=3", "ZeRO-1 at most");
  refused(Framework::deepspeed, "cp=2,dp=16", "context=ring");
  refused(Framework::nemo, "tp=2,pp=4,dp=4,schedule=zb-h1", "zb-h1");
}

TEST_CASE("Megatron FSDP is written for ZeRO-2 and 3, and layers with their norms and experts") {
  const auto arguments = [](const emulator::Plan& plan) {
    return *emit(Framework::megatron, plan);
  };
  const auto dense = [&](const std::string& degrees) {
    return arguments(plan_of("llama-3.1-8b", "dgx-h100-4", 128, 4096, degrees));
  };
  CHECK_THAT(dense("dp=32,zero_stage=2"),
             Contains("--use-megatron-fsdp\n--data-parallel-sharding-strategy optim_grads\n"));
  CHECK_THAT(dense("dp=32,zero_stage=1"), !Contains("fsdp"));
  CHECK_THAT(dense("dp=32,zero_stage=3"), !Contains("instances"));
  CHECK_THAT(dense("dp=32,zero_stage=3"), !Contains("--qk-layernorm"));
  auto plan = plan_of("mixtral-8x7b", "dgx-h100-4", 64, 4096, "dp=32,ep=8,zero_stage=1");
  CHECK_THAT(arguments(plan), Contains("--moe-grouped-gemm\n--moe-router-dtype fp32\n"));
  plan.training.precision = topology::Precision::fp16;
  CHECK_THAT(arguments(plan), !Contains("--moe-grouped-gemm"));
  plan.training.model.model_type = "qwen3_moe";
  CHECK_THAT(arguments(plan), Contains("--qk-layernorm\n"));
  plan.training.sequence = 1 << 20;  // longer than what the model was made for
  CHECK_THAT(arguments(plan), Contains("--max-position-embeddings 1048576\n"));
}

TEST_CASE("precisions are written as the recipes of each framework") {
  auto plan = plan_of("llama-3.1-8b", "dgx-h100-4", 128, 4096, "dp=32,zero_stage=1");
  const auto with = [&](topology::Precision precision) {
    plan.training.precision = precision;
    return *emit(Framework::megatron, plan);
  };
  using topology::Precision;
  CHECK_THAT(with(Precision::mxfp8), Contains("--bf16\n--fp8-format e4m3\n--fp8-recipe mxfp8\n"));
  CHECK_THAT(with(Precision::nvfp4), Contains("--bf16\n--fp4-format e2m1\n--fp4-recipe nvfp4\n"));
  CHECK_THAT(with(Precision::fp8), Contains("--bf16\n--fp8-format hybrid\n"));
  CHECK_THAT(with(Precision::fp8), !Contains("recipe"));
  CHECK_THAT(with(Precision::fp32), !Contains("--bf16"));
  for (const Precision precision : {Precision::mxfp8, Precision::nvfp4}) {
    plan.training.precision = precision;
    CHECK_THAT(refusal(Framework::torchtitan, plan), Contains("precision"));
    CHECK_THAT(refusal(Framework::deepspeed, plan), Contains("precision"));
  }
}

TEST_CASE("a job script asks for the plan's nodes and quotes the plan's name") {
  const auto plan = plan_of("llama-3.1-8b", "dgx-h100-4", 128, 4096, "tp=4,dp=4,zero_stage=1");
  check_golden("job.sbatch", *emit_sbatch(plan, "plans/8b.json"));
  const std::string odd = *emit_sbatch(plan, "it's $(touch x);.json");
  CHECK_THAT(odd, Contains(R"(plan='it'\''s $(touch x);.json')"));
  CHECK_FALSE(emit_sbatch(plan, "two\nlines").has_value());
  auto uneven = plan;
  uneven.degrees.dp = 3;  // 12 ranks on nodes of 8
  CHECK_FALSE(emit_sbatch(uneven, "plan.json").has_value());
  auto strange = plan;
  strange.training.model.name = "a b\n#SBATCH --evil";
  CHECK_THAT(*emit_sbatch(strange, "plan.json"),
             Contains("--job-name=railwright-a-b--SBATCH---evil"));
}

TEST_CASE("shell quoting keeps every character") {
  CHECK(shell_quoted("plain") == "'plain'");
  CHECK(shell_quoted("a'b") == R"('a'\''b')");
}
