#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "collectives/algorithms/rings/ring_order.hpp"

namespace railwright::collectives {
namespace {

// The four stages of a hierarchical all-reduce, each for another segment of the buffer: NVLink and
// network work at the same time. Chunks: segment, then local rank, then node. Segment j passes
// stage i in slot i + j; a slot is as long as its longest stage, the others send in its first
// steps. A stage is a channel of its own.
constexpr std::array operations = {Operation::all_reduce};
constexpr int stages = 4;  // scatter inside, scatter across, gather across, gather inside

bool is_inside(int stage) { return stage == 0 || stage == 3; }
bool is_gathering(int stage) { return stage >= 2; }
int nodes(const Schedule& schedule) { return schedule.ranks / schedule.inner; }
int ring_size(const Schedule& schedule, int stage) {
  return is_inside(stage) ? schedule.inner : nodes(schedule);
}
std::int64_t steps_of(const Schedule& schedule, int stage) {
  return ring_size(schedule, stage) - 1;
}

std::string refusal(const Schedule& schedule) {
  if (schedule.segments < 1)
    return fmt::format("hierarchical: {} segments carry nothing; write 1 or more",
                       schedule.segments);
  if (schedule.inner < 1 || schedule.ranks % schedule.inner != 0)
    return fmt::format("hierarchical: {} ranks do not split into nodes of {}", schedule.ranks,
                       schedule.inner);
  if (schedule.ranks > 1 && (schedule.inner == 1 || schedule.inner == schedule.ranks))
    return "hierarchical: one stage has nothing to overlap with; write 1 segment";
  return {};
}

std::int64_t chunk_count(const Schedule& schedule) {
  return std::int64_t{schedule.segments} * schedule.ranks;
}
int channel_count(const Schedule&) { return stages; }

// Slots while segments come in and go out are phases of their own; those between are one.
struct Slots {
  std::int64_t first = 0, count = 1;  // of a phase
  int lowest = 0, highest = 0;        // stages at work
};
std::int64_t steady_slots(const Schedule& schedule) {
  return std::max<std::int64_t>(1, schedule.segments - stages + 1);
}
int phase_count(const Schedule& schedule) {
  return static_cast<int>(schedule.segments + stages - 1 - steady_slots(schedule) + 1);
}
Slots slots_of(const Schedule& schedule, int phase) {
  const std::int64_t steady = steady_slots(schedule);
  Slots slots{phase, phase == stages - 1 ? steady : 1};
  if (phase >= stages) slots.first += steady - 1;
  slots.lowest = static_cast<int>(std::max<std::int64_t>(0, slots.first - schedule.segments + 1));
  slots.highest = static_cast<int>(std::min<std::int64_t>(stages - 1, slots.first));
  return slots;
}

std::int64_t slot_steps(const Schedule& schedule, const Slots& slots) {
  std::int64_t longest = 0;
  for (int stage = slots.lowest; stage <= slots.highest; ++stage)
    longest = std::max(longest, steps_of(schedule, stage));
  return longest;
}

std::vector<Phase> phases(const Schedule& schedule) {
  std::vector<Phase> phases;
  for (int phase = 0; phase < phase_count(schedule); ++phase) {
    const Slots slots = slots_of(schedule, phase);
    const char* name = phase < stages - 1 ? "fill" : phase < stages ? "flow" : "drain";
    phases.push_back({name, slots.count * slot_steps(schedule, slots), false});
  }
  return phases;
}

// Stages of fewer steps stop before the slot ends: the steps until each of them stops are alike.
std::vector<Sample> samples(const Schedule& schedule, int phase) {
  const Slots slots = slots_of(schedule, phase);
  const std::int64_t longest = slot_steps(schedule, slots);
  std::vector<std::int64_t> ends;
  for (int stage = slots.lowest; stage <= slots.highest; ++stage)
    ends.push_back(steps_of(schedule, stage));
  std::ranges::sort(ends);
  std::vector<Sample> samples;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    if (end > begin) samples.push_back({begin, slots.count * (end - begin)});
    begin = end;
  }
  assert(begin == longest);
  return samples;
}

int neighbour(const Schedule& schedule, int stage, int rank, int offset) {
  const int local = rank % schedule.inner, node = rank / schedule.inner;
  if (is_inside(stage)) return node * schedule.inner + modulo(local + offset, schedule.inner);
  return modulo(node + offset, nodes(schedule)) * schedule.inner + local;
}

Send send_of(const Schedule& schedule, int stage, std::int64_t segment, int rank,
             std::int64_t step) {
  const int local = rank % schedule.inner, node = rank / schedule.inner;
  const bool inside = is_inside(stage), gathering = is_gathering(stage);
  const int block =
      block_passed(gathering, inside ? local : node, step, ring_size(schedule, stage), 1);
  const std::int64_t count = nodes(schedule), base = segment * schedule.ranks;
  const ChunkRange chunks = inside ? ChunkRange{base + block * count, count}
                                   : ChunkRange{base + local * count + block, 1};
  return {rank, neighbour(schedule, stage, rank, 1), chunks, ring_action(gathering), stage};
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const Slots slots = slots_of(schedule, phase);
  const std::int64_t longest = slot_steps(schedule, slots);
  const std::int64_t slot = slots.first + step / longest, at = step % longest;
  for (int stage = slots.lowest; stage <= slots.highest; ++stage) {
    if (at >= steps_of(schedule, stage)) continue;
    const int source = sending ? rank : neighbour(schedule, stage, rank, -1);
    sends.push_back(send_of(schedule, stage, slot - stage, source, at));
  }
}

// g ranks in each of k nodes, m segments of s = ceil(n / m p) bytes per chunk. Per slot
//   max over stages at work of (steps x latency) + sum over them of (steps x bytes) / bandwidth
// with g-1 steps of k s bytes inside and k-1 steps of s bytes across, on a hop that all share.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  Seconds total;
  for (int phase = 0; phase < phase_count(schedule); ++phase) {
    const Slots slots = slots_of(schedule, phase);
    Seconds bytes;
    for (int stage = slots.lowest; stage <= slots.highest; ++stage) {
      const int count = is_inside(stage) ? nodes(schedule) : 1;
      const Bytes step{largest_bytes(schedule, count, size)};
      bytes += static_cast<double>(steps_of(schedule, stage)) * (step / hop.bandwidth);
    }
    const auto steps = static_cast<double>(slot_steps(schedule, slots));
    total += static_cast<double>(slots.count) * (steps * hop.latency + bytes);
  }
  return total;
}

// Pattern 0: the rings inside all nodes; 1: those across them.
std::vector<Layer> layers(const Schedule& schedule, int phase) {
  const Slots slots = slots_of(schedule, phase);
  std::vector<Layer> layers;
  int sample = 0;
  for (const Sample& one : samples(schedule, phase)) {
    for (int stage = slots.lowest; stage <= slots.highest; ++stage)
      if (one.step < steps_of(schedule, stage))
        layers.push_back({.pattern = is_inside(stage) ? 0 : 1,
                          .sample = sample,
                          .channel = stage,
                          .chunks = is_inside(stage) ? nodes(schedule) : 1});
    ++sample;
  }
  return layers;
}

void connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  for (int rank = 0; rank < schedule.ranks; ++rank)
    sink(rank, neighbour(schedule, pattern, rank, 1), 0);
}

constexpr Maker maker{.operations = operations,
                      .refusal = refusal,
                      .chunk_count = chunk_count,
                      .channel_count = channel_count,
                      .own_part = part_of_rank,
                      .phases = phases,
                      .busiest_step = first_step,
                      .waiting_steps = all_steps,
                      .sends = add_sends,
                      .closed_form = closed_form,
                      .samples = samples,
                      .layers = layers,
                      .connections = connections};

}  // namespace

const Maker& pipelined_hierarchical_maker() { return maker; }

}  // namespace railwright::collectives
