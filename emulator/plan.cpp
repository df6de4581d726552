#include "emulator/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "collectives/ways.hpp"
#include "emulator/plan_order.hpp"
#include "topology/version.hpp"

namespace railwright::emulator {

using workload::Dimension;
using workload::Operation;

namespace {

int coordinate(const workload::Coordinates& at, Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return at.tp;
    case Dimension::cp:
      return at.cp;
    case Dimension::dp:
      return at.dp;
    case Dimension::pp:
      return at.pp;
    default:
      return 0;  // ep is inside dp
  }
}

// Operation of a group -> the sizes that the programs ask for.
using Demand = std::map<std::pair<Dimension, Operation>, std::vector<Bytes>>;

// The shortest step asks for every size that a step asks for; the first and the last stage differ
// from the inner ones by more work, never by less.
Demand demand_of(const workload::Training& training, const workload::Degrees& degrees) {
  const workload::Training short_training = shortest(training, degrees);
  Demand demand;
  const bool uneven = training.model.experts.count > 0 || !degrees.layers.empty();
  const int between = std::max(1, uneven ? 1 : degrees.pp - 1);  // of the stages that are asked
  for (int stage = 0; stage < degrees.pp; stage += between)
    for (const workload::Op& op : stage_program(short_training, degrees, stage).ops)
      if (op.kind == workload::OpKind::collective && degree_of(degrees, op.group) > 1)
        demand[{op.group, op.operation}].push_back(op.bytes);
  for (auto& [key, sizes] : demand) {
    std::sort(sizes.begin(), sizes.end());
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  }
  return demand;
}

// At most this many sizes per operation are priced: the smallest, the largest, even ones between.
constexpr std::size_t priced_sizes = 4;

std::vector<Bytes> thinned(const std::vector<Bytes>& sizes) {
  if (sizes.size() <= priced_sizes) return sizes;
  std::vector<Bytes> chosen;
  for (std::size_t i = 0; i < priced_sizes; ++i)
    chosen.push_back(sizes[i * (sizes.size() - 1) / (priced_sizes - 1)]);
  return chosen;
}

Bytes geometric_mean(Bytes a, Bytes b) {
  const double product = static_cast<double>(a.count) * static_cast<double>(b.count);
  const auto mean = static_cast<std::uint64_t>(std::sqrt(product));
  return {std::clamp(mean, a.count + 1, b.count)};
}

// Of the ranks below this the groups lie in all ways that there are: where groups stay inside of
// equal nodes, every node is like the first.
std::int64_t distinct_ranks(const Plan& plan, Dimension group, const topology::Cluster& cluster) {
  const topology::ClusterSpec& spec = cluster.spec;
  const int node = spec.nodes.front().accelerators;
  const std::int64_t extent = stride_of(group, plan.degrees, plan.placement.order) *
                              std::int64_t{degree_of(plan.degrees, group)};
  const bool alike = spec.nodes.size() == 1 && plan.placement.exceptions.empty() &&
                     plan.placement.axes.empty() && plan.placement.first_accelerator % node == 0 &&
                     node % extent == 0 &&
                     std::ranges::none_of(spec.networks, &topology::NetworkSpec::reduces) &&
                     std::ranges::none_of(spec.switches, &topology::SwitchSpec::reduces);
  return alike ? std::min<std::int64_t>(node, plan.degrees.world()) : plan.degrees.world();
}

// A group that cannot run it: it straddles nodes, or sits on some whose switch does not add.
std::optional<std::vector<topology::AcceleratorId>> refuses(const Plan& plan, Dimension group,
                                                            const collectives::Schedule& schedule,
                                                            const topology::Cluster& cluster) {
  if (collectives::switch_count(schedule) == 0) return std::nullopt;
  const std::int64_t stride = stride_of(group, plan.degrees, plan.placement.order);
  const std::int64_t degree = degree_of(plan.degrees, group);
  const std::int64_t ranks = distinct_ranks(plan, group, cluster);
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    if (rank / stride % degree != 0) continue;  // not the first of its group
    auto members = members_of(plan, group, rank);
    if (!collectives::why_not(schedule, members, cluster).empty()) return members;
  }
  return std::nullopt;
}

// The best for the first group, if all of them can run it, else for the first that cannot.
collectives::Schedule schedule_for_all(const Plan& plan, Dimension group, Operation operation,
                                       Bytes size,
                                       const std::vector<topology::AcceleratorId>& first,
                                       const topology::Router& router, const BestSchedule& choice) {
  auto schedule = choice(operation, size, first, router);
  if (const auto others = refuses(plan, group, schedule, router.cluster()))
    schedule = choice(operation, size, *others, router);
  return schedule;
}

// Each priced size rules up to the geometric mean with the next one; equal neighbours join.
void choose_schedules(Plan& plan, Dimension group, Operation operation,
                      const std::vector<Bytes>& sizes, const topology::Router& router,
                      const BestSchedule& choice) {
  const std::vector<Bytes> priced = thinned(sizes);
  const auto first = members_of(plan, group, 0);
  Bytes low{0};
  for (std::size_t i = 0; i < priced.size(); ++i) {
    const bool last = i + 1 == priced.size();
    const Bytes high = last ? no_upper_size : geometric_mean(priced[i], priced[i + 1]);
    const auto schedule =
        schedule_for_all(plan, group, operation, priced[i], first, router, choice);
    const bool joins = low.count > 0 && plan.schedules.back().schedule == schedule;
    if (joins) plan.schedules.back().high = high;
    if (!joins) plan.schedules.push_back({group, operation, low, high, schedule});
    low = high;
  }
}

Errors rules_broken(const topology::Cluster& cluster, const workload::Training& training,
                    const workload::Degrees& degrees, std::int64_t first_accelerator) {
  Errors errors;
  for (const std::string& rule : violations(training, degrees)) errors.push_back({{}, rule, {}});
  const std::int64_t there = cluster.accelerators() - first_accelerator;
  if (degrees.world() > there)
    errors.push_back({{},
                      fmt::format("{} needs {} accelerators; cluster '{}' has {}{}",
                                  to_string(degrees), degrees.world(), cluster.spec.name, there,
                                  first_accelerator > 0 ? " from the first node on" : ""),
                      "choose smaller degrees or a larger cluster"});
  return errors;
}

}  // namespace

std::optional<ConfigError> why_not_launched(const Plan& plan, const std::string& path) {
  if (plan.placement.axes.empty()) return std::nullopt;
  return ConfigError{{path, 0, 0},
                     "the plan places ranks along the axes of a torus, which no launcher does",
                     "plan with --placement linear, or run it with --backend emulated"};
}

// What is beyond the last axis goes on along it.
std::int64_t along_axes(std::int64_t position, const std::vector<Axis>& axes) {
  if (axes.empty()) return position;
  std::int64_t place = 0;
  for (std::size_t i = 0; i + 1 < axes.size(); ++i) {
    place += position % axes[i].extent * axes[i].stride;
    position /= axes[i].extent;
  }
  return place + position * axes.back().stride;
}

Placement identity_placement(const workload::Degrees& degrees, const workload::RankOrder& order,
                             std::int64_t first_accelerator) {
  Placement placement;
  placement.first_accelerator = first_accelerator;
  placement.order = order;
  for (std::size_t i = 0; i < order.size(); ++i)
    placement.strides[i] = stride_of(order[i], degrees, order);
  return placement;
}

bool counts_up(const Placement& placement, const workload::Degrees& degrees) {
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < placement.order.size(); ++i) {
    const int extent = extent_of(degrees, placement.order[i]);
    if (extent > 1 && placement.strides[i] != stride) return false;
    stride *= extent;
  }
  return true;
}

topology::AcceleratorId accelerator_of(std::int64_t rank, const Placement& placement,
                                       const workload::Degrees& degrees) {
  const auto& exceptions = placement.exceptions;
  const auto found = std::lower_bound(
      exceptions.begin(), exceptions.end(), rank,
      [](const Placement::Exception& entry, std::int64_t wanted) { return entry.rank < wanted; });
  if (found != exceptions.end() && found->rank == rank) return {found->accelerator};
  std::int64_t index = rank;
  if (!counts_up(placement, degrees)) {
    const auto at = coordinates_of(rank, degrees, placement.order);
    index = 0;
    for (std::size_t i = 0; i < placement.order.size(); ++i)
      index += coordinate(at, placement.order[i]) * placement.strides[i];
  }
  return {static_cast<int>(placement.first_accelerator + along_axes(index, placement.axes))};
}

Result<Plan> make_plan(const topology::Cluster& cluster, const workload::Training& training,
                       const workload::Degrees& degrees, const topology::Calibration& calibration,
                       std::int64_t first_accelerator) {
  return make_plan_in_order(workload::default_order, cluster, training, degrees, calibration,
                            first_accelerator);
}

Result<Plan> make_plan_in_order(const workload::RankOrder& order, const topology::Cluster& cluster,
                                const workload::Training& training,
                                const workload::Degrees& degrees,
                                const topology::Calibration& calibration,
                                std::int64_t first_accelerator, const BestSchedule& choice,
                                const std::vector<Axis>& axes) {
  Errors errors = rules_broken(cluster, training, degrees, first_accelerator);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  Plan plan;
  plan.tool_version = tool_version;
  plan.cluster = cluster.spec;
  plan.training = training;
  plan.degrees = degrees;
  plan.placement = identity_placement(degrees, order, first_accelerator);
  plan.placement.axes = axes;
  for (int stage = 0; stage < degrees.pp; ++stage)
    plan.layers_per_stage.push_back(stage_layers(training.model, degrees, stage));
  plan.calibration_sha256 = sha256(topology::to_json(calibration));
  const topology::Router router(cluster);
  const BestSchedule best = [&](Operation operation, Bytes size, const auto& members,
                                const topology::Router& by) {
    return collectives::best_schedule(operation, size, members, by, calibration);
  };
  for (const auto& [key, sizes] : demand_of(training, degrees))
    choose_schedules(plan, key.first, key.second, sizes, router, choice ? choice : best);
  return plan;
}

collectives::Schedule schedule_of(const Plan& plan, Dimension group, Operation operation,
                                  Bytes size) {
  for (const ScheduleChoice& choice : plan.schedules)
    if (choice.group == group && choice.operation == operation && choice.low <= size &&
        size < choice.high)
      return choice.schedule;
  const bool everybody = operation == Operation::all_to_all;
  collectives::Schedule schedule;
  schedule.operation = operation;
  schedule.algorithm = everybody ? collectives::Algorithm::direct : collectives::Algorithm::ring;
  schedule.ranks = degree_of(plan.degrees, group);
  return schedule;
}

std::vector<topology::AcceleratorId> members_of(const Plan& plan, Dimension group,
                                                std::int64_t rank) {
  std::vector<topology::AcceleratorId> members;
  for (const std::int64_t member : group_of(group, rank, plan.degrees, plan.placement.order))
    members.push_back(accelerator_of(member, plan.placement, plan.degrees));
  return members;
}

}  // namespace railwright::emulator
