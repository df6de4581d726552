// `railwright plan`: the best parallel plans of a model on a cluster, beside the rule of thumb.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "coordinator/console.hpp"
#include "coordinator/coordinator.hpp"
#include "coordinator/planner/report.hpp"
#include "coordinator/training.hpp"
#include "topology/files/writable.hpp"
#include "workload/uncertainty.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  std::string model, cluster, fix, output, calibration;
  std::string objective = "time", precision = "bf16";
  std::int64_t accelerators = 0, global_batch = 0, sequence = 0;
  int first_node = 0;
  std::size_t top = 10;
  bool json = false;
};

constexpr const char* footer = R"(Units: sequences per step, tokens per sequence; times in seconds.
Example:
  railwright plan --model llama-3.1-8b --cluster dgx-h100-4 --accelerators 32 \
    --global-batch 128 --sequence 8192 -o plan.json
Exit status: 0 ok, 2 invalid input, 3 nothing fits into memory.)";

void add_options(CLI::App& command, Options& options) {
  command.add_option("--model", options.model, "config.json of Hugging Face, or a catalogue name")
      ->required();
  command.add_option("--cluster", options.cluster, "cluster.yaml, or a catalogue name")->required();
  command
      .add_option("--accelerators", options.accelerators, "ranks, the first ones of the cluster")
      ->required();
  command
      .add_option("--first-node", options.first_node,
                  "node of rank 0: those before it are left to other jobs")
      ->capture_default_str();
  command.add_option("--global-batch", options.global_batch, "sequences per step")->required();
  command.add_option("--sequence", options.sequence, "tokens per sequence")->required();
  command.add_option("--objective", options.objective, "what is made small: time")
      ->capture_default_str();
  command.add_option("--fix", options.fix,
                     std::string("degrees that are given, as tp=8,pp=4,recompute=full: ") +
                         workload::degree_words);
  command.add_option("--top", options.top, "plans to show")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command
      .add_option("--precision", options.precision,
                  "of weights and activations: fp32, tf32, bf16, fp16, fp8, fp4")
      ->capture_default_str();
  command.add_option("--calibration", options.calibration,
                     "calibration.json, laid over the defaults");
  command.add_option("-o,--output", options.output, "write the best plan to this file")
      ->check(a_path());
  command.add_flag("--json", options.json, "one JSON document on stdout");
  command.footer(footer);
}

Result<PlanRequest> request_of(const Options& options) {
  Errors errors;
  auto cluster = topology::load_cluster(options.cluster);
  if (!cluster) errors.insert(errors.end(), cluster.error().begin(), cluster.error().end());
  auto model = workload::load_model(options.model);
  if (!model) errors.insert(errors.end(), model.error().begin(), model.error().end());
  auto calibration = calibration_from(options.calibration);
  if (!calibration)
    errors.insert(errors.end(), calibration.error().begin(), calibration.error().end());
  const auto precision = parse_precision(options.precision);
  if (!precision) errors.push_back(precision.error());
  if (const auto error = topology::why_not_writable(options.output)) errors.push_back(*error);
  if (options.objective != "time")
    errors.push_back(
        {{}, "--objective '" + options.objective + "' does not exist", "write 'time'"});
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  const auto first = first_accelerator(options.first_node, *cluster);
  if (!first) return tl::unexpected(first.error());
  PlanRequest request;
  request.first_accelerator = *first;
  request.cluster = std::move(*cluster);
  request.training.model = std::move(*model);
  request.training.global_batch = options.global_batch;
  request.training.sequence = options.sequence;
  request.training.precision = *precision;
  request.accelerators = options.accelerators;
  request.fix = options.fix;
  request.calibration = std::move(*calibration);
  request.top = options.top;
  return request;
}

// Of each plan: that of the least known accelerator of the cluster.
void add_uncertainty(Json& json, const PlanRequest& request) {
  double most = 0;
  for (const auto& kind : request.cluster.spec.accelerator_kinds)
    most = std::max(most, workload::prediction_uncertainty(kind, request.calibration));
  for (Json& plan : json["plans"]) plan["uncertainty"] = most;
}

int run(const Options& options) {
  const Stopwatch watch;
  auto request = request_of(options);
  if (!request) return report(request.error());
  request->progress = progress_bar("planning");
  const auto planning = plan_training(*request);
  if (!planning) return report(planning.error());
  if (planning->candidates.empty()) {
    report_usage(planning->infeasible_reason, planning->infeasible_hint);
    if (options.json) print_json(planning_json(*planning, watch.wall_s()));
    return exit_infeasible;
  }
  print_notes(planning->candidates.front().plan, request->cluster, request->calibration);
  if (!options.output.empty()) {
    const auto saved = emulator::save_plan(planning->candidates.front().plan, options.output);
    if (!saved) return report(saved.error());
    std::cerr << fmt::format("wrote {0}; next: railwright emulate --plan {0}\n", options.output);
  }
  if (options.json) {
    Json json = planning_json(*planning, watch.wall_s());
    add_uncertainty(json, *request);
    print_json(json);
  } else {
    std::cout << planning_text(*planning, watch.wall_s());
  }
  return exit_ok;
}

}  // namespace

void add_plan_command(CommandLine& line) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      line.app.add_subcommand("plan", "Find the fastest parallel plans of a model on a cluster");
  add_options(*command, *options);
  command->callback(
      [&line, options] { line.run = [options] { return coordinator::run(*options); }; });
}

}  // namespace railwright::coordinator
