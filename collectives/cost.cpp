#include "collectives/cost.hpp"

#include <algorithm>
#include <cmath>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

// effective_capacity() looks names up: once per class is enough, for lanes share an efficiency.
class EffectiveCapacity {
 public:
  EffectiveCapacity(const topology::Graph& graph, const topology::Calibration& calibration)
      : graph_(graph), calibration_(calibration), efficiency_(graph.classes.size(), 0) {}

  double of(topology::LinkId link) {
    double& efficiency = efficiency_[graph_.link_class[link.index]];
    const double raw = graph_.capacity(link).bytes_per_second;
    if (efficiency == 0)
      efficiency = topology::effective_capacity(graph_, link, calibration_).bytes_per_second / raw;
    return raw * efficiency;
  }

 private:
  const topology::Graph& graph_;
  const topology::Calibration& calibration_;
  std::vector<double> efficiency_;
};

}  // namespace

Seconds closed_form_time(const Schedule& schedule, Bytes size, Hop hop) {
  assert(why_not(schedule).empty());
  if (schedule.ranks == 1) return {};
  return maker_of(schedule).closed_form(schedule, size, hop);
}

int optimal_segments(Schedule schedule, Bytes size, Hop hop) {
  constexpr double most = 1 << 16;
  const auto bytes_time = [&](int segments) {
    schedule.segments = segments;
    return closed_form_time(schedule, size, {{}, hop.bandwidth});
  };
  schedule.segments = 4;
  if (!why_not(schedule).empty()) return 1;
  const Seconds ramp = 4.0 / 3 * (bytes_time(1) - bytes_time(4));
  const double limit = std::min(most, static_cast<double>(size.count));
  if (ramp.value <= 0 || limit < 1) return 1;
  const double balanced = std::sqrt(ramp.value / hop.latency.value);
  return static_cast<int>(std::clamp(std::round(balanced), 1.0, limit));
}

double bus_bandwidth_factor(Operation operation, int ranks) {
  const double shared = static_cast<double>(ranks - 1) / ranks;
  switch (operation) {
    case Operation::all_reduce:
      return 2 * shared;
    case Operation::reduce_scatter:
    case Operation::all_gather:
    case Operation::all_to_all:
      return shared;
    case Operation::broadcast:
    case Operation::reduce:
    case Operation::send:
      break;
  }
  return 1;
}

bool reduces(Operation operation) {
  return operation == Operation::all_reduce || operation == Operation::reduce_scatter ||
         operation == Operation::reduce;
}

bool in_parts(Operation operation) {
  return operation == Operation::all_gather || operation == Operation::reduce_scatter ||
         operation == Operation::all_to_all;
}

bool repeats_patterns(const Schedule& schedule) {
  if (schedule.ranks == 1) return true;
  const Maker& maker = maker_of(schedule);
  return maker.layers != nullptr && !maker.layers(schedule, 0).empty();
}

Seconds idle_time(const std::vector<PhaseLoad>& phases, const topology::Graph& graph,
                  const topology::Calibration& calibration) {
  EffectiveCapacity capacity(graph, calibration);
  Seconds total;
  for (const PhaseLoad& phase : phases) {
    double seconds_per_byte = 0;
    for (const topology::LinkShare& use : phase.consumption)
      seconds_per_byte = std::max(seconds_per_byte, use.share / capacity.of(use.link));
    const Seconds step = phase.step_latency + seconds(phase.bytes_per_step * seconds_per_byte);
    total += static_cast<double>(phase.steps) * step;
  }
  return total;
}

}  // namespace railwright::collectives
