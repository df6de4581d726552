#include "coordinator/planner/exchange.hpp"

#include <bit>

namespace railwright::coordinator {

namespace {

std::vector<topology::AcceleratorId> members_of(const GroupPlace& place) {
  std::vector<topology::AcceleratorId> members;
  for (int i = 0; i < place.count; ++i) {
    const int position = place.first + i * place.stride;
    members.push_back({static_cast<int>(emulator::along_axes(position, place.axes))});
  }
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

// The first of the places that cost the same: those a period of the fabric apart; members one in a
// node, all at one place of their nodes, at any other; and members over many periods whose spacing
// does not divide the period lie everywhere in it, wherever the first one does.
GroupPlace GroupLines::standard(GroupPlace place, const topology::Router& router) const {
  constexpr std::int64_t many = 8;
  const int period = router.period(), node = cluster_.spec.nodes.front().accelerators;
  if (period == 0 || !place.axes.empty()) return place;
  const bool everywhere =
      period % place.stride != 0 && std::int64_t{place.count} * place.stride >= many * period;
  place.first %= everywhere ? node : period;
  if (place.stride % node == 0) place.first -= place.first % node;
  return place;
}

template <class Act>
auto GroupLines::with_costs(GroupPlace place, const topology::Router& router, Act act) {
  place = standard(place, router);
  Group* group = nullptr;
  {
    const std::lock_guard lock(mutex_);
    group = &groups_[place];
  }
  const std::lock_guard lock(group->mutex);
  if (!group->costs)
    group->costs =
        std::make_unique<collectives::GroupCosts>(members_of(place), router, calibration_);
  return act(*group->costs);
}

GroupLines::Line GroupLines::line(workload::Operation operation, Bytes size,
                                  const GroupPlace& place, const topology::Router& router) {
  const std::size_t classes = cluster_.graph.classes.size();
  Line result{CauseSeconds(classes), CauseSeconds(classes)};
  with_costs(place, router, [&](collectives::GroupCosts& costs) {
    collectives::Schedule schedule;
    schedule.operation = operation;
    schedule.algorithm = collectives::Algorithm::direct;
    schedule.ranks = place.count;
    if (operation != workload::Operation::send) schedule = costs.best(operation, size, router);
    for (const collectives::PhaseLine& phase : costs.phases(schedule, router))
      add_phase(phase, result);
  });
  return result;
}

collectives::Schedule GroupLines::best(workload::Operation operation, Bytes size,
                                       const std::vector<topology::AcceleratorId>& members,
                                       const topology::Router& router) {
  const int stride = members.size() > 1 ? members[1].index - members[0].index : 1;
  const GroupPlace place{members.front().index, stride, static_cast<int>(members.size())};
  if (members_of(place) != members)
    return collectives::best_schedule(operation, size, members, router, calibration_);
  return with_costs(place, router, [&](collectives::GroupCosts& costs) {
    return costs.best(operation, size, router);
  });
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
