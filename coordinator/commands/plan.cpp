// `railwright plan`: the best parallel plans of a model on a cluster, beside the rule of thumb.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <iostream>
#include <memory>

#include "coordinator/console.hpp"
#include "coordinator/coordinator.hpp"
#include "coordinator/planner/emit/emit.hpp"
#include "coordinator/planner/report.hpp"
#include "coordinator/training.hpp"
#include "topology/files/writable.hpp"
#include "topology/files/write_text_file.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  std::string model, cluster, fix, output, calibration;
  std::string objective = "time", precision = "bf16", search = "auto", price;
  std::string memory_headroom = "0%", max_bubble = "100%", placement = "auto";
  std::string emit, emit_to = "-";
  std::int64_t accelerators = 0, global_batch = 0, sequence = 0;
  int first_node = 0;
  std::size_t top = 10;
  bool json = false, all = false;
};

constexpr const char* footer = R"(Units: sequences per step, tokens per sequence; times in seconds.
Example:
  railwright plan --model llama-3.1-8b --cluster dgx-h100-4 --accelerators 32 \
    --global-batch 128 --sequence 8192 -o plan.json
Exit status: 0 ok, 2 invalid input, 3 nothing fits into memory.)";

// What read_goal() reads.
void add_goal(CLI::App& command, Options& options) {
  command.add_option("--objective", options.objective, "what is made small: time, cost, energy")
      ->capture_default_str();
  command.add_option("--price", options.price,
                     "of an accelerator, as 2.5/h in dollars; else the catalogue's");
  command
      .add_option("--memory-headroom", options.memory_headroom,
                  "share of each accelerator's memory that stays free")
      ->capture_default_str();
  command
      .add_option("--max-bubble", options.max_bubble,
                  "share of the step that may be waiting for other stages")
      ->capture_default_str();
  command
      .add_option("--placement", options.placement,
                  "auto: the order in which the dimensions number the ranks is searched; linear: "
                  "tp-cp-dp-pp")
      ->capture_default_str();
  command
      .add_option("--search", options.search,
                  "exhaustive: prices every point; pruned: leaves out those whose bound is worse "
                  "than the best; auto: pruned where the space or the cluster is large")
      ->capture_default_str();
}

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
  add_goal(command, options);
  command.add_option("--fix", options.fix,
                     std::string("degrees that are given, as tp=8,pp=4,recompute=full: ") +
                         workload::degree_words);
  command.add_option("--top", options.top, "plans to show")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, most_listed));
  command.add_flag("--all", options.all, "list plans that differ in details only, too");
  command
      .add_option("--precision", options.precision,
                  "fp32, tf32, bf16, fp16, fp8, fp4, mxfp8 or nvfp4")
      ->capture_default_str();
  command.add_option("--calibration", options.calibration,
                     "calibration.json, laid over the defaults");
  command.add_option("-o,--output", options.output, "write the best plan to this file")
      ->check(a_path());
  command.add_option("--emit", options.emit,
                     "the best plan in the words of megatron, torchtitan, deepspeed, nemo, or an "
                     "sbatch script that runs the plan of -o");
  command
      .add_option("--emit-to", options.emit_to,
                  "write that to this file; -: to stdout, in place of the table")
      ->capture_default_str()
      ->check(a_path());
  command.add_flag("--json", options.json, "one JSON document on stdout");
  command.footer(footer);
}

// "10%" or "0.1".
tl::expected<double, ConfigError> parse_share(const std::string& option, const std::string& text) {
  std::string_view number = text;
  const bool percent = number.ends_with('%');
  if (percent) number.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(value))
    return tl::unexpected(
        ConfigError{{}, option + ": '" + text + "' is no share", "write 10% or 0.1"});
  return percent ? value / 100 : value;
}

// One of a few words of an option.
template <class T>
tl::expected<T, ConfigError> parse_word(const std::string& option, const std::string& text,
                                        std::initializer_list<std::pair<const char*, T>> words) {
  std::string all;
  for (const auto& [word, value] : words) {
    if (text == word) return value;
    all += (all.empty() ? "" : ", ") + std::string(word);
  }
  return tl::unexpected(
      ConfigError{{}, option + " '" + text + "' does not exist", "write one of " + all});
}

// Takes the value, or keeps the error.
template <class T, class Target>
void take(const tl::expected<T, ConfigError>& value, Target& target, Errors& errors) {
  if (value)
    target = *value;
  else
    errors.push_back(value.error());
}

// The goal of the search and its limits.
void read_goal(const Options& options, PlanRequest& request, Errors& errors) {
  take(parse_word<Objective>(
           "--objective", options.objective,
           {{"time", Objective::time}, {"cost", Objective::cost}, {"energy", Objective::energy}}),
       request.objective, errors);
  take(parse_word<SearchMode>("--search", options.search,
                              {{"auto", SearchMode::automatic},
                               {"exhaustive", SearchMode::exhaustive},
                               {"pruned", SearchMode::pruned}}),
       request.search, errors);
  take(parse_word<bool>("--placement", options.placement, {{"auto", false}, {"linear", true}}),
       request.linear_only, errors);
  take(parse_share("--memory-headroom", options.memory_headroom), request.memory_headroom, errors);
  take(parse_share("--max-bubble", options.max_bubble), request.max_bubble, errors);
  if (!options.price.empty()) take(parse_price(options.price), request.price_per_hour, errors);
}

Result<PlanRequest> request_of(const Options& options) {
  PlanRequest request;
  Errors errors;
  auto cluster = topology::load_cluster(options.cluster);
  if (!cluster) errors.insert(errors.end(), cluster.error().begin(), cluster.error().end());
  auto model = workload::load_model(options.model);
  if (!model) errors.insert(errors.end(), model.error().begin(), model.error().end());
  auto calibration = calibration_from(options.calibration);
  if (!calibration)
    errors.insert(errors.end(), calibration.error().begin(), calibration.error().end());
  take(parse_precision(options.precision), request.training.precision, errors);
  if (const auto error = topology::why_not_writable(options.output)) errors.push_back(*error);
  read_goal(options, request, errors);
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  const auto first = first_accelerator(options.first_node, *cluster);
  if (!first) return tl::unexpected(first.error());
  request.first_accelerator = *first;
  request.cluster = std::move(*cluster);
  request.training.model = std::move(*model);
  request.training.global_batch = options.global_batch;
  request.training.sequence = options.sequence;
  request.accelerators = options.accelerators;
  request.fix = options.fix;
  request.calibration = std::move(*calibration);
  request.top = options.top;
  request.list_alike = options.all;
  return request;
}

// What the best plan is emitted as; "": nothing.
Result<std::string> emitted(const Options& options, const emulator::Plan& plan) {
  if (options.emit.empty()) return std::string{};
  if (options.emit == "sbatch") return emit_sbatch(plan, options.output);
  const auto framework = parse_word<Framework>("--emit", options.emit,
                                               {{"megatron", Framework::megatron},
                                                {"torchtitan", Framework::torchtitan},
                                                {"deepspeed", Framework::deepspeed},
                                                {"nemo", Framework::nemo}});
  if (!framework) return tl::unexpected(Errors{framework.error()});
  return emit(*framework, plan);
}

// Options of emitting that contradict each other, before anything is searched.
Errors wrong_emission(const Options& options) {
  if (options.emit.empty()) {
    if (options.emit_to == "-") return {};
    return {{{}, "--emit-to without --emit", "name the framework: --emit megatron"}};
  }
  const char* known[] = {"megatron", "torchtitan", "deepspeed", "nemo", "sbatch"};
  if (std::find(std::begin(known), std::end(known), options.emit) == std::end(known))
    return {{{},
             "--emit '" + options.emit + "' does not exist",
             "write one of megatron, torchtitan, deepspeed, nemo, sbatch"}};
  if (options.emit == "sbatch" && options.output.empty())
    return {{{}, "--emit sbatch needs the plan's file", "write -o plan.json too"}};
  if (options.json && options.emit_to == "-")
    return {{{}, "--json and --emit both write to stdout", "write --emit-to FILE"}};
  if (options.emit_to != "-")
    if (const auto error = topology::why_not_writable(options.emit_to)) return {*error};
  return {};
}

void print_outcome(const Options& options, const Planning& planning, const std::string& launch,
                   double wall_s) {
  if (!launch.empty() && options.emit_to == "-") {
    std::cout << launch;
  } else if (options.json) {
    print_json(planning_json(planning, wall_s));
  } else {
    std::cout << planning_text(planning, wall_s);
  }
}

int run(const Options& options) {
  const Stopwatch watch;
  if (const Errors errors = wrong_emission(options); !errors.empty()) return report(errors);
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
  const auto launch = emitted(options, planning->candidates.front().plan);
  if (!launch) return report(launch.error());
  if (!options.output.empty()) {
    const auto saved = emulator::save_plan(planning->candidates.front().plan, options.output);
    if (!saved) return report(saved.error());
    std::cerr << fmt::format("wrote {0}; next: railwright emulate --plan {0}\n", options.output);
  }
  if (!launch->empty() && options.emit_to != "-")
    if (const auto saved = topology::write_text_file(options.emit_to, *launch); !saved)
      return report(saved.error());
  print_outcome(options, *planning, *launch, watch.wall_s());
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
