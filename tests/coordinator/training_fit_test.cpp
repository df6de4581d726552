// Constants of training steps: fitted to tables of them, counted, and what they say of steps and
// accelerators that nobody measured.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "coordinator/calibration/step_fit.hpp"
#include "coordinator/validation/measurement.hpp"
#include "coordinator/validation/training/constants.hpp"
#include "coordinator/validation/training/evaluation.hpp"
#include "coordinator/validation/training/fit.hpp"
#include "coordinator/validation/training/scatter.hpp"
#include "tests/coordinator/command.hpp"
#include "tests/coordinator/training_rows.hpp"
#include "topology/calibration_overlay.hpp"
#include "workload/uncertainty.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using railwright::test::Folder;
using railwright::test::run_command;
using railwright::test::training_rows;
using topology::Calibration;
using topology::CalibrationEntry;

namespace {

// A small GPT on eight A100, or a large one; the step time is made up by the test.
std::string line(const std::string& id, const std::string& group, const std::string& framework,
                 int hidden, int micro_batch, int tp) {
  return fmt::format(
      "{},{},{},m,8,{},16,16,{},0,51200,2048,,,fp16,a100-sxm-80gb,8,8,200,{},1,1,1,1,{},0,,full,0,"
      "{},{},1000,,,,\n",
      id, group, framework, hidden, 4 * hidden, tp, 8 / tp, micro_batch, 4 * micro_batch * 8 / tp);
}

std::vector<TrainingRow> some_rows() {
  std::string text;
  for (const char* framework : {"megatron-deepspeed", "fsdp"})
    for (const int hidden : {1024, 4096, 12288})
      for (const int micro_batch : {1, 4})
        for (const int tp : {1, 8})
          text += line(fmt::format("{}-{}-{}-{}", framework, hidden, micro_batch, tp),
                       fmt::format("{}-{}", framework, hidden), framework, hidden, micro_batch, tp);
  return training_rows(text);
}

CalibrationEntry entry(const std::string& subject, const std::string& parameter, double value) {
  const std::string unit = parameter == "host_launch" ? "s" : "1";
  return {subject, parameter, unit, value, 0, 1, 0, 0, "made"};
}

// Constants that no default has.
const Calibration& truth() {
  static const Calibration made = topology::overlaid(
      topology::default_calibration(),
      {{entry("a100-sxm4-80gb", "sustained_rate", 0.7),
        entry("framework:megatron-deepspeed", "host_launch", 50e-6),
        entry("framework:megatron-deepspeed", "vector_traffic", 3),
        entry("framework:megatron-deepspeed", "host_exposed", 0.15),
        entry("framework:fsdp", "host_launch", 12e-6), entry("framework:fsdp", "vector_traffic", 2),
        entry("framework:internevo", "vector_traffic", 5)}});
  return made;
}

// The rows with the step times that these constants make.
std::vector<TrainingRow> measured_under(std::vector<TrainingRow> rows, const Calibration& made) {
  const TrainingTable table(rows);
  std::vector<Seconds> times;
  for (std::size_t i = 0; i < rows.size(); ++i) times.push_back(table.predict(i, made).predicted);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].step_time = times[i];
  return rows;
}

std::vector<std::size_t> all_of(const std::vector<TrainingRow>& rows) {
  std::vector<std::size_t> all(rows.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

}  // namespace

TEST_CASE("a fit finds the constants that made the steps, from round figures") {
  const auto rows = measured_under(some_rows(), truth());
  const TrainingTable table(rows);
  const Calibration fit = fitted(truth(), table, all_of(rows), TrainingStart::round_figures);
  for (const std::size_t i : free_entries(truth(), table, all_of(rows))) {
    INFO(fit.entries[i].subject << " " << fit.entries[i].parameter);
    CHECK(fit.entries[i].n > 0);
  }
  // Launches and traffic share the blame for small kernels: they are told apart less well.
  CHECK(fit.value_or("a100-sxm4-80gb", "sustained_rate", 0) == Approx(0.7).epsilon(0.03));
  CHECK(fit.value_or("framework:megatron-deepspeed", "host_launch", 0) ==
        Approx(50e-6).epsilon(0.2));
  CHECK(fit.value_or("framework:fsdp", "vector_traffic", 0) == Approx(2).epsilon(0.2));
  double error = 0;
  for (const std::size_t i : all_of(rows))
    error += std::abs(table.predict(i, fit).predicted / *rows[i].step_time - 1);
  CHECK(error / static_cast<double>(rows.size()) < 0.03);
  // What no row uses is what the others of its sort have on the mean, not what it was.
  CHECK(fit.value_or("framework:internevo", "vector_traffic", 0) < 4);
}

TEST_CASE("only what belongs to an accelerator, a link or a framework may move, within its range") {
  const auto rows = some_rows();
  const TrainingTable table(rows);
  for (const std::size_t i : free_entries(truth(), table, all_of(rows))) {
    const CalibrationEntry& free = truth().entries[i];
    const auto sort = topology::subject_sort(free.subject);
    REQUIRE(sort);
    CHECK(*sort != topology::SubjectSort::any);
    CHECK(topology::misfit_of(free) == "");
  }
}

TEST_CASE("a fit knows nothing of a row but what it ran: not its name, source or model") {
  auto rows = measured_under(some_rows(), truth());
  const TrainingTable table(rows);
  const Calibration fit = fitted(truth(), table, all_of(rows), TrainingStart::as_given);
  auto renamed = rows;
  for (TrainingRow& row : renamed) {
    row.id = "z" + row.id;
    row.group = "another " + row.group;
    row.model.name = "another";
  }
  const TrainingTable other(renamed);
  const Calibration same = fitted(truth(), other, all_of(renamed), TrainingStart::as_given);
  CHECK(fit == same);
}

// Doubling what a group measured must not move what is said of it by the fit that leaves it out.
TEST_CASE("what a fit says of a group that it left out does not depend on that group") {
  auto rows = measured_under(some_rows(), truth());
  const auto left_out = [&](const std::vector<TrainingRow>& of) {
    return evaluate(of, truth(), {.leave_out = true});
  };
  const TrainingEvaluation before = left_out(rows);
  const std::string group = rows.front().group;
  for (TrainingRow& row : rows)
    if (row.group == group) row.step_time = 2 * *row.step_time;
  const TrainingEvaluation after = left_out(rows);
  REQUIRE(before.has_left_out);
  for (std::size_t i = 0; i < before.steps.size(); ++i) {
    CHECK(before.steps[i].left_out.value > 0);
    if (rows[before.steps[i].row].group == group)
      CHECK(before.steps[i].left_out == after.steps[i].left_out);
  }
  CHECK(before.macro_left_out < 0.1);  // the other groups tell the constants
}

TEST_CASE("no thing has more constants than its limit, and each of them is of a thing") {
  std::set<std::string> limited;
  for (const ConstantCount& count : constant_counts(topology::default_calibration())) {
    INFO(count.subject << ": " << count.count << " of " << count.limit);
    CHECK(count.within());
    if (count.limit > 0) limited.insert(count.subject);
  }
  CHECK(limited.contains("a100-sxm4-80gb"));
  CHECK(limited.contains("framework:megatron-deepspeed"));
  Calibration crowded = topology::default_calibration();
  crowded.entries.push_back(entry("framework:megatron-deepspeed", "shard_latency", 1));
  crowded.entries.push_back(entry("framework:megatron-deepspeed", "call_latency", 1));
  bool beyond = false;
  for (const ConstantCount& count : constant_counts(crowded)) beyond |= !count.within();
  CHECK(beyond);
}

TEST_CASE("the published steps that come with the program are cited, few, and predicted") {
  const auto rows = parse_training_rows(own_training_steps(), "own");
  REQUIRE(rows);
  CHECK(rows->size() <= 60);
  const std::string_view text = own_training_steps();
  CHECK(text.substr(0, text.find('\n')).ends_with(",source"));
  std::set<std::string> names;
  for (const TrainingRow& row : *rows) {
    CHECK(names.insert(row.id).second);
    names.insert(row.group);
    names.insert(row.model.name);
  }
  for (const CalibrationEntry& constant : topology::default_calibration().entries)
    CHECK_FALSE(names.contains(constant.subject));
  const TrainingEvaluation evaluation = evaluate(*rows, topology::default_calibration());
  CHECK(evaluation.steps.size() == rows->size());
  for (const TrainingGroup& group : evaluation.groups) {
    INFO(group.group);
    if (group.group == "korthikanti" || group.group == "narayanan") CHECK(group.step.mape < 0.05);
    if (group.memory.rows > 0) CHECK(group.memory.mape < 0.1);
  }
  for (const PredictedStep& step : evaluation.steps) CHECK(step.uncertainty > 0.01);
}

TEST_CASE("a step that is shorter than its FLOPs at the peak rate is no measurement") {
  auto rows = some_rows();
  rows.resize(1);
  rows[0].step_time = seconds(1e-3);
  CHECK(setup_of(rows[0]).why_not == "a step that is shorter than its FLOPs at the peak rate");
}

TEST_CASE("the page of predicted against measured has a point per row and needs no other file") {
  const auto rows = measured_under(some_rows(), truth());
  const TrainingEvaluation evaluation = evaluate(rows, topology::default_calibration());
  const std::string page = scatter_page(evaluation, rows);
  std::size_t points = 0;
  for (std::size_t at = page.find("<title>f"); at != std::string::npos;
       at = page.find("<title>f", at + 1))
    ++points;
  CHECK(points == 12);  // ids that begin with fsdp
  CHECK(page.find("http") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page == scatter_page(evaluation, rows));
}

// Every accelerator in every precision that it has: a step of Llama 3 8B on one node.
TEST_CASE("accelerators nobody fitted predict a sane step in each precision they have") {
  const auto mfu = [](const char* accelerator, const char* precision) {
    const auto rows = training_rows(fmt::format(
        "a,g,megatron,m,32,4096,32,8,14336,1,128256,8192,,,{},{},8,8,400,1,1,1,1,1,8,1,,full,0,1,"
        "64,99,,,,\n",
        precision, accelerator));
    const TrainingTable table(rows);
    INFO(accelerator << " " << precision << " " << table.setup(0).why_not);
    REQUIRE(table.predictable(0));
    const auto& setup = table.setup(0);
    const PredictedStep step = table.predict(0, topology::default_calibration());
    const double peak =
        workload::peak_rate(setup.cluster.accelerator_kinds.front(), topology::Precision::bf16)
            .per_second;
    return workload::model_flops_per_step(setup.training).count / (step.predicted.value * 8 * peak);
  };
  for (const char* accelerator :
       {"a100-sxm4-40gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "h100-sxm5-96gb-500w",
        "h200-sxm-141gb", "b200-sxm-180gb", "gb200-nvl72", "gb300-nvl72", "mi300x"}) {
    INFO(accelerator);
    const double bf16 = mfu(accelerator, "bf16");
    CHECK(bf16 > 0.2);
    CHECK(bf16 < 0.65);
    if (std::string_view(accelerator).starts_with("a100")) continue;
    const double fp8 = mfu(accelerator, "fp8");
    CHECK(fp8 > 1.1 * bf16);  // attention and element-wise kernels stay
    CHECK(fp8 < 2 * bf16);
    CHECK(mfu(accelerator, "mxfp8") == fp8);
    if (std::string_view(accelerator).find("b") < 2) CHECK(mfu(accelerator, "nvfp4") > fp8);
  }
  CHECK(mfu("h100-sxm5-96gb-500w", "bf16") < mfu("h100-sxm5-80gb", "bf16"));
}

TEST_CASE("a prediction is least certain where no step was measured") {
  const Calibration& calibration = topology::default_calibration();
  const auto of = [&](const char* name) {
    topology::AcceleratorKind kind;
    kind.name = name;
    return workload::prediction_uncertainty(kind, calibration);
  };
  CHECK(of("a100-sxm4-80gb") < of("tpu-v5p"));
  CHECK(of("h100-sxm5-80gb") < of("mi300x"));
  CHECK(of("tpu-v5p") == of("never-heard-of"));
}

TEST_CASE("railwright calibrate fits training steps and validate takes the result") {
  const Folder folder;
  std::string table = test::training_header;
  const auto rows = measured_under(some_rows(), truth());
  for (const TrainingRow& row : rows) {
    std::string text = line(row.id, row.group, row.framework, static_cast<int>(row.model.hidden),
                            *row.micro_batch, row.tp);
    text.replace(text.rfind(",1000,,,,"), 9, fmt::format(",{:.6g},,,,", row.step_time->value));
    table += text;
  }
  const std::string steps = folder.write("steps.csv", table), out = folder.file("c.json");
  const auto fit = run_command("calibrate " + steps + " --from-scratch --json -o " + out);
  REQUIRE(fit.status == 0);
  const auto fits = fit.json()["fits"];
  REQUIRE(fits.size() == 1);
  // A table of 12 rows pulls less on its constants than round figures do.
  CHECK(fits[0]["residual"].get<double>() < 0.05);
  CHECK(fits[0]["left_out"].get<double>() < 0.2);
  std::set<std::string> parameters;
  for (const auto& parameter : fits[0]["parameters"]) parameters.insert(parameter["parameter"]);
  CHECK(parameters.contains("sustained_rate"));
  CHECK(parameters.contains("step_spread"));
  const auto check = run_command("validate --json --data " + steps + " --calibration " + out);
  REQUIRE(check.status == 0);
  CHECK(check.json()["training"]["macro_mape"].get<double>() < 0.05);
}

TEST_CASE("training steps and collectives are not fitted together") {
  const Folder folder;
  const std::string steps =
      folder.write("steps.csv", test::training_header + line("a", "g", "fsdp", 1024, 1, 1));
  const auto outcome = run_command("calibrate " + steps + " " +
                                   test::source_file("data/measurements/collectives.csv"));
  CHECK(outcome.status == 2);
  CHECK(outcome.err.find("training steps and collectives in one fit") != std::string::npos);
}
