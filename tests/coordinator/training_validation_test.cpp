// Training steps as people publish them, predicted: the reader, what is assumed, and the figures
// that say how good the predictions are for choosing.
#include <catch2/catch.hpp>
#include <random>

#include "coordinator/validation/training/choice.hpp"
#include "coordinator/validation/training/evaluation.hpp"

using namespace railwright;
using namespace railwright::coordinator;

namespace {

const std::string header =
    "id,group,framework,model,layers,hidden,heads,kv_heads,ffn_hidden,gated_mlp,vocab,seq_len,"
    "experts,top_k,precision,accelerator,accelerators,per_node,nic_gbps_per_accelerator,tp,pp,vpp,"
    "cp,ep,dp,zero_stage,shard_degree,recompute,sequence_parallel,micro_batch,global_batch,"
    "step_time_s,peak_memory_gib,activation_memory_gib,state_memory_gib,fits\n";

// GPT-3 22B on eight A100, as in table 5 of Korthikanti et al. 2022; columns may be replaced.
std::string row(const std::string& id, const std::string& degrees = "8,1,1,1,1,1,0,,full,0,4,4",
                const std::string& measured = "1.42,,,,",
                const std::string& machine = "a100-sxm-80gb,8,8,200") {
  return id + ",korth,megatron,GPT-22B,48,6144,64,64,24576,0,51200,2048,,,fp16," + machine + "," +
         degrees + "," + measured + "\n";
}

std::vector<TrainingRow> rows_of(const std::string& rows) {
  auto parsed = parse_training_rows(header + rows, "t.csv");
  REQUIRE(parsed);
  return *parsed;
}

std::string errors_of(const std::string& rows) {
  const auto parsed = parse_training_rows(rows, "t.csv");
  return parsed ? "" : to_string(parsed.error());
}

std::vector<MeasuredAndPredicted> layouts(std::vector<std::pair<double, double>> times) {
  std::vector<MeasuredAndPredicted> out;
  for (const auto& [measured, predicted] : times)
    out.push_back({seconds(measured), seconds(predicted)});
  return out;
}

}  // namespace

TEST_CASE("regret is what the chosen layout loses to the fastest one") {
  CHECK(regret_of(layouts({{2, 7}, {1, 8}, {4, 9}})) == Approx(1));  // chooses 2 s, 1 s is there
  CHECK(regret_of(layouts({{2, 8}, {1, 7}, {4, 9}})) == 0);
  CHECK(regret_of({}) == 0);
}

// Five pairs of four layouts differ by more than 3 % (1.00 and 1.02 do not). The prediction turns
// one of them round: (4 - 1) / 5; a tie of the prediction leaves (4 - 0) / sqrt(5 x 4).
TEST_CASE("tau-b counts pairs that differ and are put in the right order") {
  const std::vector<std::pair<double, double>> right{{1, 1}, {1.02, 1}, {2, 3}, {4, 8}};
  CHECK(kendall_tau(layouts(right), 0.03) == Approx(1));
  CHECK(kendall_tau(layouts({{1, 1}, {1.02, 1}, {2, 9}, {4, 8}}), 0.03) == Approx(3.0 / 5));
  CHECK(kendall_tau(layouts({{1, 1}, {1.02, 1}, {2, 8}, {4, 8}}), 0.03) ==
        Approx(4 / std::sqrt(20.0)));
  CHECK(kendall_tau(layouts({{1, 4}, {2, 3}, {3, 2}, {4, 1}}), 0.03) == Approx(-1));
  CHECK(kendall_tau(layouts({{1, 4}, {1.01, 3}}), 0.03) == 0);
}

TEST_CASE("wrong cells are named with their lines, all at once") {
  const std::string bad = row("a", "8,1,1,1,1,1,0,,sometimes,0,4,4") +
                          row("b", "0,1,1,1,1,1,0,,full,0,4,4") +
                          row("c", "8,1,1,1,1,1,0,,full,0,4,x");
  const std::string errors = errors_of(header + bad);
  CHECK(errors.find("t.csv:2:1: error: recompute is 'sometimes'; write none, selective, full") !=
        std::string::npos);
  CHECK(errors.find("t.csv:3:1: error: tp is '0'") != std::string::npos);
  CHECK(errors.find("t.csv:4:1: error: global_batch is 'x'") != std::string::npos);
  CHECK(errors_of("id,group\na,b\n").find("no column 'framework'") != std::string::npos);
}

TEST_CASE("what a row leaves out is assumed and counted") {
  const TrainingSetup told = setup_of(rows_of(row("a")).front());
  CHECK(told.why_not.empty());
  CHECK(told.defaults.empty());
  CHECK(told.framework == "megatron");
  CHECK_FALSE(told.training.model.flash_attention);  // Megatron-LM of the A100's years
  const TrainingSetup open =
      setup_of(rows_of(row("a", "8,2,1,1,1,1,,,,,,4", "1,,,,", "h100-sxm,16,8,")).front());
  CHECK(open.why_not.empty());
  CHECK(open.defaults == std::vector<std::string>{"ZeRO stage", "sequence parallelism",
                                                  "recomputation", "micro-batch",
                                                  "rate of the NICs"});
  CHECK(open.choices.size() == 3);  // micro-batches of 1, 2 and 4
  CHECK(open.choices.front().sequence_parallel);
  CHECK(open.training.model.flash_attention);
}

TEST_CASE("memory of nanotron is that of the first stage, and the fullest one must fit") {
  // One micro-batch in flight on each of two stages: the head makes the last one the fullest.
  auto rows = rows_of(row("a", "4,2,1,1,1,1,0,,none,0,4,4", ",60,,,1"));
  rows.front().framework = "nanotron";
  const TrainingSetup setup = setup_of(rows.front());
  const auto bytes = [&](int stage) {
    return workload::stage_memory(setup.training, setup.choices.front(), stage).total();
  };
  REQUIRE(bytes(1) > bytes(0));
  const TrainingEvaluation evaluation = evaluate(rows, topology::default_calibration());
  const PredictedStep& step = evaluation.steps.front();
  CHECK(step.peak_memory == static_cast<double>(bytes(0).count));
  CHECK(step.fits == (bytes(1) <= setup.cluster.accelerator_kinds.front().memory));
}

TEST_CASE("a row that cannot be predicted says why") {
  const auto why = [](const std::string& text) { return setup_of(rows_of(text).front()).why_not; };
  CHECK(why(row("a", "8,1,1,1,1,1,0,,full,0,4,4", "1,,,,", "zx-81,8,8,200")) ==
        "no server with 'zx-81' is known");
  CHECK(why(row("a", "4,1,1,1,1,1,0,,full,0,4,4")) ==
        "degrees that do not multiply to the accelerators");
  CHECK_FALSE(why(row("a", "8,1,1,1,1,1,0,,full,0,4,5")).empty());  // 5 sequences in fours
}

TEST_CASE("the predicted step depends on nothing that says where a row comes from") {
  auto one = rows_of(row("a") + row("b"));
  one[1].id = "z";
  one[1].group = "another";
  one[1].model.name = "GPT-23B";
  const TrainingEvaluation evaluation = evaluate(one, topology::default_calibration());
  REQUIRE(evaluation.steps.size() == 2);
  CHECK(evaluation.steps[0].predicted == evaluation.steps[1].predicted);
  CHECK(evaluation.steps[0].peak_memory == evaluation.steps[1].peak_memory);
}

TEST_CASE("errors, baseline and feasibility are those of the rows") {
  const std::string full = "8,1,1,1,1,1,0,,full,0,4,4", none = "8,1,1,1,1,1,0,,none,0,4,4";
  const auto rows = rows_of(row("a", full, "1,,,,") + row("b", full, "2,,,,") +
                            row("c", none, ",,,,0") + row("d", full, "1,40,,,1"));
  const TrainingEvaluation evaluation = evaluate(rows, topology::default_calibration());
  REQUIRE(evaluation.steps.size() == 4);
  const double predicted = evaluation.steps[0].predicted.value;
  const StepErrors& errors = evaluation.groups.front().step;
  CHECK(errors.rows == 3);
  CHECK(errors.bias == Approx((2 * (predicted - 1) + (predicted / 2 - 1)) / 3));
  CHECK(evaluation.groups.front().memory.rows == 1);
  // Same FLOPs, utilisations u, u / 2 and u: the median is u, the baseline 1 s for all.
  CHECK(evaluation.steps[1].baseline.value == Approx(1));
  CHECK(errors.baseline == Approx(0.5 / 3));
  CHECK(evaluation.fit.ran == 3);
  CHECK(evaluation.fit.out_of_memory == 1);
}
