#include "coordinator/planner/exchange.hpp"

#include <bit>

namespace railwright::coordinator {

namespace {

std::vector<topology::AcceleratorId> members_of(const GroupPlace& place) {
  std::vector<topology::AcceleratorId> members;
  for (int i = 0; i < place.count; ++i) members.push_back({place.first + i * place.stride});
  return members;
}

void add_phase(const collectives::PhaseLine& phase, GroupLines::Line& line) {
  line.fixed.of(Cause::software_latency) += phase.steps * phase.software_latency.value;
  line.fixed.of(Cause::link_latency) +=
      phase.steps * (phase.step_latency.value - phase.software_latency.value);
  line.per_byte.of_link_class(static_cast<std::size_t>(phase.link_class)) +=
      phase.steps * phase.seconds_per_byte;
}

}  // namespace

GroupLines::Group& GroupLines::group_at(const GroupPlace& place) {
  const std::lock_guard lock(mutex_);
  return groups_[place];
}

collectives::GroupCosts& GroupLines::costs_of(Group& group, const GroupPlace& place,
                                              const topology::Router& router) const {
  if (!group.costs)
    group.costs =
        std::make_unique<collectives::GroupCosts>(members_of(place), router, calibration_);
  return *group.costs;
}

GroupLines::Line GroupLines::line(workload::Operation operation, Bytes size,
                                  const GroupPlace& place, const topology::Router& router) {
  Group& group = group_at(place);
  const std::lock_guard lock(group.mutex);
  collectives::GroupCosts& costs = costs_of(group, place, router);
  collectives::Schedule schedule;
  schedule.operation = operation;
  schedule.algorithm = collectives::Algorithm::direct;
  schedule.ranks = place.count;
  if (operation != workload::Operation::send) schedule = costs.best(operation, size, router);
  const std::size_t classes = cluster_.graph.classes.size();
  Line result{CauseSeconds(classes), CauseSeconds(classes)};
  for (const collectives::PhaseLine& phase : costs.phases(schedule, router))
    add_phase(phase, result);
  return result;
}

ExchangePrices::ExchangePrices(const topology::Cluster& cluster, std::shared_ptr<GroupLines> groups)
    : cluster_(cluster), router_(cluster), groups_(std::move(groups)) {}

const CauseSeconds& ExchangePrices::price(workload::Operation operation, Bytes size,
                                          const GroupPlace& place) {
  const Key key(operation, size.count, place);
  const auto known = prices_.find(key);
  if (known != prices_.end()) return known->second;
  CauseSeconds price(cluster_.graph.classes.size());
  if (place.count > 1 && size.count > 0) {
    const GroupLines::Line& straight = line(operation, {std::bit_floor(size.count)}, place);
    price.add(straight.fixed);
    price.add(straight.per_byte, static_cast<double>(size.count));
  }
  return prices_.emplace(key, std::move(price)).first->second;
}

const GroupLines::Line& ExchangePrices::line(workload::Operation operation, Bytes size,
                                             const GroupPlace& place) {
  const Key key(operation, size.count, place);
  const auto known = lines_.find(key);
  if (known != lines_.end()) return known->second;
  return lines_.emplace(key, groups_->line(operation, size, place, router_)).first->second;
}

}  // namespace railwright::coordinator
