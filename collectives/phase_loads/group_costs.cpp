#include "collectives/group_costs.hpp"

#include <algorithm>

#include "collectives/choice/candidates.hpp"
#include "collectives/maker.hpp"
#include "collectives/phase_loads/known_patterns.hpp"

namespace railwright::collectives {

namespace {

// The same for schedules that load links in the same patterns: those that differ in segments are
// among them, though one segment may be a simpler algorithm than several.
Schedule shape_of(const Schedule& schedule) {
  const Maker& maker = maker_of(schedule);
  Schedule shape = maker.with_same_patterns ? maker.with_same_patterns(schedule) : schedule;
  shape.segments = std::min(schedule.segments, 2);
  return shape;
}

}  // namespace

struct GroupCosts::State {
  std::vector<topology::AcceleratorId> members;
  const topology::Calibration& calibration;
  Layout layout;
  // Looked up one by one: they are few, and of a deque the elements stay where they are.
  std::deque<std::pair<Schedule, KnownPatterns>> shapes;
  std::deque<std::pair<Schedule, std::vector<PhaseLine>>> lines;

  template <class Value>
  static Value* find(std::deque<std::pair<Schedule, Value>>& known, const Schedule& schedule) {
    const auto found = std::ranges::find(known, schedule, &std::pair<Schedule, Value>::first);
    return found == known.end() ? nullptr : &found->second;
  }
  KnownPatterns& patterns_of(const Schedule& schedule) {
    const Schedule shape = shape_of(schedule);
    if (KnownPatterns* known = find(shapes, shape)) return *known;
    return shapes.emplace_back(shape, KnownPatterns{}).second;
  }
  static PhaseLine line_of(const PhaseTerms& phase, double size, const KnownPatterns& known,
                           const topology::Graph& graph);
};

PhaseLine GroupCosts::State::line_of(const PhaseTerms& phase, double size,
                                     const KnownPatterns& known, const topology::Graph& graph) {
  PhaseLine line{static_cast<double>(phase.load.steps), phase.load.step_latency,
                 phase.load.software_latency, 0, 0};
  for (const LoadedLink& link : known.links) {
    const double slow = phase.load_of(link.patterns) / link.bytes_per_second;
    if (slow <= line.seconds_per_byte) continue;
    line.seconds_per_byte = slow;
    line.link_class = graph.link_class[static_cast<std::size_t>(link.link.index)];
  }
  line.seconds_per_byte *= phase.load.bytes_per_step / size;
  return line;
}

GroupCosts::GroupCosts(std::vector<topology::AcceleratorId> members, const topology::Router& router,
                       const topology::Calibration& calibration)
    : state_(new State{std::move(members), calibration, {}, {}, {}}) {
  state_->layout = layout_of(state_->members, router.cluster());
}

GroupCosts::~GroupCosts() = default;

const std::vector<PhaseLine>& GroupCosts::phases(const Schedule& schedule,
                                                 const topology::Router& router) {
  State& state = *state_;
  if (const auto* known = State::find(state.lines, schedule)) return *known;
  // A byte to each chunk: nothing is rounded.
  const Bytes size{static_cast<std::uint64_t>(chunk_count(schedule))};
  KnownPatterns& known = state.patterns_of(schedule);
  std::vector<PhaseLine> lines;
  for (const PhaseTerms& phase :
       known_terms(schedule, size, state.members, router, state.calibration, known))
    lines.push_back(
        state.line_of(phase, static_cast<double>(size.count), known, router.cluster().graph));
  return state.lines.emplace_back(schedule, std::move(lines)).second;
}

Schedule GroupCosts::best(Operation operation, Bytes size, const topology::Router& router) {
  const auto all = candidates(operation, size, state_->members, state_->layout, router.cluster());
  return fastest_of(
      all, collectives::software_latency(state_->calibration, router.cluster()),
      [&](const Schedule& schedule) { return time_of(phases(schedule, router), size); });
}

Seconds time_of(const std::vector<PhaseLine>& phases, Bytes size) {
  double sum = 0;
  for (const PhaseLine& phase : phases)
    sum += phase.steps *
           (phase.step_latency.value + static_cast<double>(size.count) * phase.seconds_per_byte);
  return {sum};
}

}  // namespace railwright::collectives
