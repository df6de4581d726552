#include "coordinator/emulation/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "coordinator/emulation/outputs.hpp"
#include "coordinator/training.hpp"
#include "topology/files/writable.hpp"

namespace railwright::coordinator {

using emulator::Plan;

namespace {

template <class T>
void collect(Errors& errors, const Result<T>& result) {
  if (!result) errors.insert(errors.end(), result.error().begin(), result.error().end());
}

// Some tenths of a second for all of them together.
constexpr std::int64_t cheap_events = 200'000;

std::int64_t sensitivities_up_to(const EmulateOptions& options) {
  if (options.no_sensitivities) return 0;
  return options.sensitivities ? INT64_MAX : cheap_events;
}

Errors check_choice(const EmulateOptions& options) {
  const bool described = !options.model.empty() || !options.parallel.empty() ||
                         options.global_batch != 0 || options.sequence != 0 ||
                         options.first_node != 0;
  if (!options.plan.empty() && described)
    return {{{},
             "--plan already says the model, the degrees, the batch and the sequence",
             "leave out --model, --parallel, --global-batch, --sequence and --first-node"}};
  if (!options.plan.empty()) return {};
  Errors errors;
  const auto need = [&](bool given, const char* name) {
    if (!given) errors.push_back({{}, fmt::format("{} is missing", name), "or give a --plan"});
  };
  need(!options.model.empty(), "--model");
  need(!options.cluster.empty(), "--cluster");
  need(!options.parallel.empty(), "--parallel");
  need(options.global_batch != 0, "--global-batch");
  need(options.sequence != 0, "--sequence");
  if (const auto wrong = wrong_batch(options.global_batch, options.sequence);
      errors.empty() && wrong)
    errors.push_back(*wrong);
  return errors;
}

// The cluster of the plan, or the given one when it is the same.
Result<topology::Cluster> cluster_of_plan(const EmulateOptions& options, const Plan& plan) {
  if (options.cluster.empty()) return topology::build_cluster(plan.cluster);
  Result<topology::Cluster> cluster = topology::load_cluster(options.cluster);
  if (cluster && topology::canonical_json(cluster->spec) != topology::canonical_json(plan.cluster))
    return failure({options.plan},
                   fmt::format("plan of another cluster: it was made for '{}', not for {}",
                               plan.cluster.name, options.cluster),
                   "leave out --cluster, or make a plan for it");
  return cluster;
}

Result<EmulateInputs> from_plan(const EmulateOptions& options, topology::Calibration calibration) {
  Result<Plan> plan = emulator::load_plan(options.plan);
  if (!plan) return tl::unexpected<Errors>(plan.error());
  Result<topology::Cluster> cluster = cluster_of_plan(options, *plan);
  if (!cluster) return tl::unexpected<Errors>(cluster.error());
  return EmulateInputs{.cluster = std::move(*cluster),
                       .plan = std::move(*plan),
                       .calibration = std::move(calibration)};
}

Result<EmulateInputs> from_description(const EmulateOptions& options,
                                       topology::Calibration calibration) {
  Errors errors;
  Result<topology::Cluster> cluster = topology::load_cluster(options.cluster);
  collect(errors, cluster);
  const Result<workload::Model> model = workload::load_model(options.model);
  collect(errors, model);
  const auto degrees = workload::parse_degrees(options.parallel);
  if (!degrees) errors.push_back(of_option("--parallel", degrees.error()));
  const auto precision = parse_precision(options.precision);
  if (!precision) errors.push_back(precision.error());
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  const auto first = first_accelerator(options.first_node, *cluster);
  if (!first) return tl::unexpected<Errors>(first.error());
  const workload::Training training{*model, options.global_batch, options.sequence, *precision};
  Result<Plan> plan = emulator::make_plan(*cluster, training, *degrees, calibration, *first);
  if (!plan) return tl::unexpected<Errors>(plan.error());
  return EmulateInputs{.cluster = std::move(*cluster),
                       .plan = std::move(*plan),
                       .calibration = std::move(calibration)};
}

Result<void> read_faults(const std::string& path, EmulateInputs& inputs) {
  if (path.empty()) return {};
  const Result<emulator::Faults> faults = emulator::load_faults(path, inputs.cluster);
  if (!faults) return tl::unexpected<Errors>(faults.error());
  const auto sequence = emulator::FaultSequence::make(*faults, inputs.cluster, inputs.seed);
  if (!sequence) return tl::unexpected<Errors>(sequence.error());
  inputs.faults = *faults;
  inputs.faults_sha256 = emulator::sha256(emulator::canonical_json(*faults));
  return {};
}

void keep_what_files_need(const EmulateOptions& options, EmulateInputs& inputs) {
  if (!options.trace.empty() || !options.report.empty()) inputs.course_links = drawn_links;
  if (options.trace.empty() && options.report.empty() && options.timeline.empty()) return;
  const emulator::Plan& plan = inputs.plan;
  const std::size_t ops = workload::stage_program(plan.training, plan.degrees, 0).ops.size();
  inputs.timeline_ranks =
      std::clamp<std::size_t>(most_events / std::max<std::size_t>(1, ops), 1, shown_ranks);
}

std::filesystem::path canonical(const std::string& path) {
  std::error_code unknown;  // then as it is spelled
  const auto file = std::filesystem::weakly_canonical(path, unknown);
  return unknown ? std::filesystem::path(path) : file;
}

// Neither over each other nor over what is read, but for a plan that gets its new prediction.
void check_outputs(const EmulateOptions& options, Errors& errors) {
  std::map<std::filesystem::path, std::string_view> read, written;
  for (const auto& [option, path] : {std::pair("--plan", options.plan),
                                     {"--model", options.model},
                                     {"--cluster", options.cluster},
                                     {"--faults", options.faults},
                                     {"--calibration", options.calibration}})
    if (!path.empty()) read.emplace(canonical(path), option);
  if (!options.output.empty() && !options.plan.empty() &&
      canonical(options.output) == canonical(options.plan))
    read.erase(canonical(options.plan));
  for (const auto& [option, path] : {std::pair("--output", options.output),
                                     {"--trace", options.trace},
                                     {"--timeline", options.timeline},
                                     {"--links", options.links},
                                     {"--report", options.report}}) {
    if (path.empty()) continue;
    if (const auto error = topology::why_not_writable(path)) errors.push_back(*error);
    const auto file = canonical(path);
    std::error_code unknown;
    if (std::filesystem::is_character_file(file, unknown)) continue;  // /dev/null
    if (const auto input = read.find(file); input != read.end())
      errors.push_back({{.file = path},
                        fmt::format("{} would overwrite what {} reads", option, input->second),
                        "give it a file of its own"});
    if (const auto [other, first] = written.emplace(file, option); !first)
      errors.push_back({{.file = path},
                        fmt::format("{} and {} write the same file", other->second, option),
                        "give each a file of its own"});
  }
}

}  // namespace

Result<EmulateInputs> read_inputs(const EmulateOptions& options) {
  Errors errors = check_choice(options);
  check_outputs(options, errors);
  auto calibration = calibration_from(options.calibration);
  collect(errors, calibration);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  Result<EmulateInputs> inputs = options.plan.empty()
                                     ? from_description(options, std::move(*calibration))
                                     : from_plan(options, std::move(*calibration));
  if (!inputs) return inputs;
  inputs->fold = !options.no_fold;
  inputs->seed = options.seed;
  keep_what_files_need(options, *inputs);
  inputs->sensitivities_up_to = sensitivities_up_to(options);
  const auto kinds = kinds_of(inputs->plan, inputs->cluster);
  if (const auto error = missing_precision(kinds, inputs->plan.training.precision))
    return tl::unexpected<Errors>(Errors{*error});
  const Result<void> read = read_faults(options.faults, *inputs);
  if (!read) return tl::unexpected<Errors>(read.error());
  return inputs;
}

Bytes memory_capacity(const EmulateInputs& inputs) {
  Bytes smallest{UINT64_MAX};
  for (const topology::AcceleratorKind* kind : kinds_of(inputs.plan, inputs.cluster))
    smallest = std::min(smallest, kind->memory);
  return smallest;
}

double uncertainty_of(const EmulateInputs& inputs) {
  return uncertainty_of(kinds_of(inputs.plan, inputs.cluster), inputs.calibration);
}

std::string memory_shortage(const EmulateInputs& inputs) {
  const Plan& plan = inputs.plan;
  std::vector<Bytes> need;
  for (int stage = 0; stage < plan.degrees.pp; ++stage)
    need.push_back(workload::stage_memory(plan.training, plan.degrees, stage).total());
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    const int stage = workload::coordinates_of(rank, plan.degrees, plan.placement.order).pp;
    const auto where = emulator::accelerator_of(rank, plan.placement, plan.degrees);
    const auto& kind = inputs.cluster.kind_of(where);
    if (need[stage] > kind.memory)
      return fmt::format(
          "stage {} needs {:.1f} GiB per accelerator, {} has {:.1f} GiB: {:.1f} GiB "
          "too much",
          stage, in_gibibytes(need[stage]), kind.name, in_gibibytes(kind.memory),
          in_gibibytes(need[stage] - kind.memory));
  }
  return {};
}

}  // namespace railwright::coordinator
