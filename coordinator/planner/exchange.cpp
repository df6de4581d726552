#include "coordinator/planner/exchange.hpp"

#include <limits>

namespace railwright::coordinator {

ExchangePrices::ExchangePrices(const topology::Cluster& cluster,
                               const topology::Calibration& calibration)
    : cluster_(cluster), calibration_(calibration), router_(cluster) {}

const CauseSeconds& ExchangePrices::price(workload::Operation operation, Bytes size,
                                          const GroupPlace& place) {
  const auto key = std::tuple(operation, size.count, place);
  const auto known = prices_.find(key);
  if (known != prices_.end()) return known->second;
  return prices_.emplace(key, compute(operation, size, place)).first->second;
}

CauseSeconds ExchangePrices::compute(workload::Operation operation, Bytes size,
                                     const GroupPlace& place) const {
  CauseSeconds price(cluster_.graph.classes.size());
  if (place.count < 2) return price;
  std::vector<topology::AcceleratorId> members;
  for (int i = 0; i < place.count; ++i) members.push_back({place.first + i * place.stride});
  const collectives::Schedule schedule =
      operation == workload::Operation::send
          ? collectives::Schedule{operation, collectives::Algorithm::direct, place.count}
          : collectives::best_schedule(operation, size, members, router_, calibration_);
  for (const auto& phase : collectives::phase_loads(schedule, size, members, router_, calibration_))
    add_phase(phase, price);
  return price;
}

void ExchangePrices::add_phase(const collectives::PhaseLoad& phase, CauseSeconds& price) const {
  const auto steps = static_cast<double>(phase.steps);
  price.of(Cause::software_latency) += steps * phase.software_latency.value;
  price.of(Cause::link_latency) +=
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
  if (slowest > 0) price.of_link_class(limiting_class) += steps * phase.bytes_per_step * slowest;
}

}  // namespace railwright::coordinator
