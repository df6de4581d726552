#include "coordinator/planner/exchange.hpp"

#include <bit>

namespace railwright::coordinator {

ExchangePrices::ExchangePrices(const topology::Cluster& cluster,
                               const topology::Calibration& calibration)
    : cluster_(cluster), calibration_(calibration), router_(cluster) {}

const CauseSeconds& ExchangePrices::price(workload::Operation operation, Bytes size,
                                          const GroupPlace& place) {
  const Key key(operation, size.count, place);
  const auto known = prices_.find(key);
  if (known != prices_.end()) return known->second;
  CauseSeconds price(cluster_.graph.classes.size());
  if (place.count > 1 && size.count > 0) {
    const Line& straight = line(operation, {std::bit_floor(size.count)}, place);
    price.add(straight.fixed);
    price.add(straight.per_byte, static_cast<double>(size.count));
  }
  return prices_.emplace(key, std::move(price)).first->second;
}

const ExchangePrices::Line& ExchangePrices::line(workload::Operation operation, Bytes size,
                                                 const GroupPlace& place) {
  const Key key(operation, size.count, place);
  const auto known = lines_.find(key);
  if (known != lines_.end()) return known->second;
  std::vector<topology::AcceleratorId> members;
  for (int i = 0; i < place.count; ++i) members.push_back({place.first + i * place.stride});
  collectives::Schedule schedule;
  schedule.operation = operation;
  schedule.algorithm = collectives::Algorithm::direct;
  schedule.ranks = place.count;
  if (operation != workload::Operation::send)
    schedule = collectives::best_schedule(operation, size, members, router_, calibration_);
  const std::size_t classes = cluster_.graph.classes.size();
  Line result{CauseSeconds(classes), CauseSeconds(classes)};
  // A link of each set stands for it: all of a set have one capacity and one load.
  const auto loads =
      collectives::folded_phase_loads(schedule, size, members, router_, calibration_, {});
  for (const auto& phase : loads.phases) add_phase(phase, size, result);
  return lines_.emplace(key, std::move(result)).first->second;
}

void ExchangePrices::add_phase(const collectives::PhaseLoad& phase, Bytes size, Line& line) const {
  const auto steps = static_cast<double>(phase.steps);
  line.fixed.of(Cause::software_latency) += steps * phase.software_latency.value;
  line.fixed.of(Cause::link_latency) +=
      steps * (phase.step_latency.value - phase.software_latency.value);
  double slowest = 0;  // seconds per byte of a connection
  std::size_t limiting_class = 0;
  for (const auto& load : phase.consumption) {
    const Bandwidth capacity =
        topology::effective_capacity(cluster_.graph, load.link, calibration_);
    const double per_byte = load.share / capacity.bytes_per_second;
    if (per_byte <= slowest) continue;
    slowest = per_byte;
    limiting_class = cluster_.graph.link_class[static_cast<std::size_t>(load.link.index)];
  }
  line.per_byte.of_link_class(limiting_class) +=
      steps * phase.bytes_per_step * slowest / static_cast<double>(size.count);
}

}  // namespace railwright::coordinator
