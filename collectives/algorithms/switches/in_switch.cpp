#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "collectives/algorithms/switches/stages.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array all_reduce_only = {Operation::all_reduce};
constexpr std::array nvls_operations = {Operation::all_reduce, Operation::reduce_scatter,
                                        Operation::all_gather, Operation::broadcast};

std::string refusal(const Schedule& schedule) {
  if (schedule.segments < 1)
    return fmt::format("{}: {} segments carry nothing; write 1 or more",
                       to_string(schedule.algorithm), schedule.segments);
  if (schedule.algorithm == Algorithm::nvls || schedule.ranks == 1) return {};
  if (schedule.inner < 1 || schedule.ranks % schedule.inner != 0)
    return fmt::format("{}: {} ranks do not split into nodes of {}", to_string(schedule.algorithm),
                       schedule.ranks, schedule.inner);
  if (schedule.algorithm == Algorithm::double_tree) return {};
  if (schedule.inner == schedule.ranks)
    return fmt::format("{}: there is one node; nvls is for that", to_string(schedule.algorithm));
  if (schedule.algorithm == Algorithm::nvls_tree && schedule.inner == 1)
    return "nvls_tree: one rank per node has nobody to share a switch with";
  return {};
}

std::int64_t chunk_count(const Schedule& schedule) {
  return pieces_of(schedule) * chunks_per_piece(schedule);
}

int stage_count(const Schedule& schedule) { return static_cast<int>(stages_of(schedule).size()); }
int channel_count(const Schedule& schedule) {
  return stage_count(schedule) * channels_per_stage(schedule);
}

ChunkRange own_part(const Schedule& schedule, int rank) {
  return {std::int64_t{rank} * schedule.segments, schedule.segments};
}

// Piece j is in stage i in step i + j. While pieces come in and go out every step is a phase of its
// own; in between all stages are at work.
struct Timeline {
  std::int64_t pieces = 1, stages = 1, steps = 1;
  explicit Timeline(const Schedule& schedule)
      : pieces(pieces_of(schedule)), stages(stage_count(schedule)), steps(pieces + stages - 1) {}

  bool has_steady() const { return pieces > stages; }
  std::int64_t steady_steps() const { return has_steady() ? pieces - stages + 1 : 1; }
  int phases() const { return static_cast<int>(steps - steady_steps() + 1); }
  std::int64_t steps_of(int phase) const { return phase == stages - 1 ? steady_steps() : 1; }
  std::int64_t first_step(int phase) const {
    return phase < stages ? phase : phase + steady_steps() - 1;
  }
};

// Whether every piece of the steady phase takes the same ways as the one before.
bool repeats(const Schedule& schedule) {
  const bool parts = schedule.operation == Operation::reduce_scatter ||
                     schedule.operation == Operation::all_gather;
  return !parts && schedule.algorithm != Algorithm::nvls_tree &&
         schedule.algorithm != Algorithm::double_tree;
}

std::vector<Phase> phases(const Schedule& schedule) {
  const Timeline line(schedule);
  std::vector<Phase> phases;
  for (int phase = 0; phase < line.phases(); ++phase) {
    const std::int64_t steps = line.steps_of(phase);
    const char* name = phase < line.stages - 1 ? "fill" : phase < line.stages ? "flow" : "drain";
    phases.push_back({name, steps, steps == 1 || repeats(schedule)});
  }
  return phases;
}

void add_sends(const Schedule& schedule, int end, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const Timeline line(schedule);
  step += line.first_step(phase);
  for (int stage = 0; stage < line.stages; ++stage)
    if (step >= stage && step - stage < line.pieces)
      add_stage_sends(schedule, stage, step - stage, end, sending, sends);
}

// Only the first piece shows latencies: in phase i it is in stage i, and others follow unseen.
std::int64_t waiting_steps(const Schedule& schedule, int phase, std::int64_t) {
  return phase < stage_count(schedule) ? 1 : 0;
}
bool waits(const Schedule& schedule, int phase, const Send& send) {
  return send.channel / channels_per_stage(schedule) == phase;
}

// Two trees take turns; owners follow one another.
std::vector<Sample> samples(const Schedule& schedule, int phase) {
  const Timeline line(schedule);
  const std::int64_t steps = line.steps_of(phase);
  if (steps == 1 || repeats(schedule)) return {{0, steps}};
  if (schedule.operation == Operation::all_reduce) return {{0, steps - steps / 2}, {1, steps / 2}};
  // Step i of the phase has piece i + 1 in the first stage and piece i in the second one; the
  // owner matters in the stage that is his alone.
  const std::int64_t ahead = schedule.operation == Operation::all_gather ? 1 : 0;
  std::vector<Sample> samples;
  for (int owner = 0; owner < schedule.ranks; ++owner) {
    const std::int64_t first = std::int64_t{owner} * schedule.segments - ahead;
    const std::int64_t begin = std::max<std::int64_t>(0, first);
    const std::int64_t end = std::min(steps, first + schedule.segments);
    if (begin < end) samples.push_back({begin, end - begin});
  }
  return samples;
}

// Where no switch takes part.
std::vector<Layer> layers(const Schedule& schedule, int phase) {
  if (schedule.algorithm != Algorithm::double_tree) return {};
  const Timeline line(schedule);
  const std::vector<Stage> stages = stages_of(schedule);
  std::vector<Layer> layers;
  int sample = 0;
  for (const Sample& one : samples(schedule, phase)) {
    const std::int64_t step = line.first_step(phase) + one.step;
    for (int stage = 0; stage < line.stages; ++stage)
      if (step >= stage && step - stage < line.pieces)
        layers.push_back(
            {.pattern = pattern_of_stage(stages[static_cast<std::size_t>(stage)], step - stage),
             .sample = sample,
             .channel = stage * channels_per_stage(schedule),
             .chunks = 1,
             .waits = stage == phase});
    ++sample;
  }
  return layers;
}

int switch_count(const Schedule& schedule) {
  if (schedule.algorithm == Algorithm::double_tree) return 0;
  if (schedule.algorithm != Algorithm::sharp) return nodes_of(schedule);
  return schedule.inner == 1 ? 1 : nodes_of(schedule) + schedule.inner;
}

std::vector<int> ranks_of_switch(const Schedule& schedule, int index) {
  const int inner = on_one_switch(schedule), nodes = nodes_of(schedule);
  const bool inside = inner > 1 && index < nodes;
  const int local = inner > 1 ? index - nodes : index;
  std::vector<int> ranks;
  for (int i = 0; i < (inside ? inner : nodes); ++i)
    ranks.push_back(inside ? index * inner + i : i * inner + local);
  return ranks;
}

// What a rank sends and receives at most in one step of a stage, in chunks.
struct Traffic {
  std::int64_t out = 0, in = 0;
};
Traffic traffic_of(const Schedule& schedule, Stage stage) {
  const std::int64_t all = on_one_switch(schedule);
  switch (stage.kind) {
    case StageKind::contribute:
      return {all, 0};
    case StageKind::spread:
      return {0, all};
    case StageKind::collect:
    case StageKind::leave:
    case StageKind::deal:
      return {0, 1};
    case StageKind::enter:
    case StageKind::give_back:
    case StageKind::gather:
      return {1, 0};
    case StageKind::up:
      return {1, 2};
    case StageKind::down:
      return {2, 1};
    case StageKind::chain_in:
    case StageKind::chain_out:
      return {1, 1};  // of one of the chains, or another
  }
  return {};
}

// S stages, m pieces of g chunks of s bytes. Every step takes the larger of what a rank sends and
// receives in all stages at work, and the first piece shows the latency of its way: half a hop to
// or from a switch. nvls, all-reduce, m >= 4:  2 latency + about (m (g+1) + 2 g + 2) s / bandwidth,
// so (1 + 1/g) n / bandwidth for a large buffer. nvls_tree at most: no rank is inner in both trees.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const Timeline line(schedule);
  const std::vector<Stage> stages = stages_of(schedule);
  Seconds time;
  for (int phase = 0; phase < line.phases(); ++phase) {
    const std::int64_t step = line.first_step(phase);
    Traffic traffic;
    for (std::int64_t stage = 0; stage < line.stages; ++stage) {
      if (step < stage || step - stage >= line.pieces) continue;
      const Traffic more = traffic_of(schedule, stages[static_cast<std::size_t>(stage)]);
      traffic = {traffic.out + more.out, traffic.in + more.in};
    }
    const auto chunks = static_cast<std::uint64_t>(std::max(traffic.out, traffic.in));
    const Bytes moved{chunks * largest_bytes(schedule, 1, size)};
    time += static_cast<double>(line.steps_of(phase)) * (moved / hop.bandwidth);
  }
  const auto halves = std::ranges::count_if(stages, [](const Stage& stage) {
    const bool between_ranks = stage.kind == StageKind::up || stage.kind == StageKind::down ||
                               stage.kind == StageKind::chain_in ||
                               stage.kind == StageKind::chain_out;
    return !between_ranks;
  });
  return time + (static_cast<double>(std::ssize(stages)) - 0.5 * static_cast<double>(halves)) *
                    hop.latency;
}

constexpr Maker maker_for(std::span<const Operation> operations) {
  return {operations, refusal,       chunk_count, channel_count,  own_part,     phases,
          first_step, waiting_steps, add_sends,   closed_form,    switch_count, ranks_of_switch,
          samples,    waits,         layers,      add_connections};
}

constexpr Maker nvls = maker_for(nvls_operations);
constexpr Maker across_nodes = maker_for(all_reduce_only);

}  // namespace

const Maker& node_tree_maker() { return across_nodes; }
const Maker& nvls_maker() { return nvls; }
const Maker& nvls_tree_maker() { return across_nodes; }
const Maker& sharp_maker() { return across_nodes; }

}  // namespace railwright::collectives
