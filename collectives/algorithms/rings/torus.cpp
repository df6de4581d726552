#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "collectives/algorithms/rings/ring_order.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather};

int axes(const Schedule& schedule) { return static_cast<int>(schedule.dims.size()); }

// Copies of one algorithm, each for its share of the buffer: copy i takes the dimensions in turn
// from dimension i mod D on, the first D copies upwards, the others downwards. So at any time each
// of the 2 D ports of a rank serves one copy, when all extents are equal.
int copies(const Schedule& schedule) { return 2 * axes(schedule); }
int direction_of(const Schedule& schedule, int copy) { return copy < axes(schedule) ? 1 : -1; }
int axis_of(const Schedule& schedule, int copy, int stage) {
  return (copy + stage) % axes(schedule);
}
int extent_of(const Schedule& schedule, int copy, int stage) {
  return schedule.dims[axis_of(schedule, copy, stage)];
}

std::int64_t stride_of(const Schedule& schedule, int axis) {
  return std::accumulate(schedule.dims.begin(), schedule.dims.begin() + axis, std::int64_t{1},
                         std::multiplies<>());
}
int coordinate_of(const Schedule& schedule, int rank, int axis) {
  return static_cast<int>(rank / stride_of(schedule, axis)) % schedule.dims[axis];
}
int neighbour(const Schedule& schedule, int rank, int axis, int offset) {
  const int from = coordinate_of(schedule, rank, axis);
  const int to = modulo(from + offset, schedule.dims[axis]);
  return rank + static_cast<int>((to - from) * stride_of(schedule, axis));
}

std::string extents_of(const Schedule& schedule) {
  std::string text;
  for (const int extent : schedule.dims) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

std::string refusal(const Schedule& schedule) {
  if (schedule.ranks == 1) return {};
  if (schedule.dims.empty()) return "torus: the group is not a whole torus";
  std::int64_t places = 1;
  for (const int extent : schedule.dims) {
    if (extent < 2) return fmt::format("torus: a dimension of {} is none", extent);
    places = std::min(places * extent, std::int64_t{schedule.ranks} + 1);
  }
  if (places == schedule.ranks) return {};
  return fmt::format("torus: {} ranks do not fill {}", schedule.ranks, extents_of(schedule));
}

std::int64_t chunk_count(const Schedule& schedule) {
  return std::int64_t{schedule.ranks} * copies(schedule);
}

// Parts lie in rank order, each with a chunk of every copy.
ChunkRange own_part(const Schedule& schedule, int rank) {
  return {std::int64_t{rank} * copies(schedule), copies(schedule)};
}

// An all-reduce has no parts to keep in order: the chunks of a copy lie together, its first
// dimension slowest, so that what it sends in a step is one range.
bool lies_together(const Schedule& schedule) { return schedule.operation == Operation::all_reduce; }

// Ranks whose chunks a copy still sends together in a stage.
std::int64_t places_after(const Schedule& schedule, int copy, int stage) {
  std::int64_t places = 1;
  for (int later = stage + 1; later < axes(schedule); ++later)
    places *= extent_of(schedule, copy, later);
  return places;
}

int channel_count(const Schedule& schedule) {
  if (lies_together(schedule)) return copies(schedule);
  std::int64_t most = 1;
  for (int copy = 0; copy < axes(schedule); ++copy)
    most = std::max(most, places_after(schedule, copy, 0));
  return copies(schedule) * static_cast<int>(most);
}

// Where a copy is after so many steps of a reduce-scatter: all copies take equally many in all.
struct Moment {
  int stage = 0;
  std::int64_t step = 0;  // of the stage
};
Moment moment_of(const Schedule& schedule, int copy, std::int64_t step) {
  int stage = 0;
  for (; step >= extent_of(schedule, copy, stage) - 1; ++stage)
    step -= extent_of(schedule, copy, stage) - 1;
  return {stage, step};
}

std::int64_t steps_one_way(const Schedule& schedule) {
  return std::accumulate(schedule.dims.begin(), schedule.dims.end(), std::int64_t{0}) -
         axes(schedule);
}

// Steps at which some copy turns into its next dimension, and the last: between them all copies
// keep to their links.
std::vector<std::int64_t> turns(const Schedule& schedule) {
  std::vector<std::int64_t> all;
  for (int copy = 0; copy < axes(schedule); ++copy) {
    std::int64_t step = 0;
    for (int stage = 0; stage < axes(schedule); ++stage)
      all.push_back(step += extent_of(schedule, copy, stage) - 1);
  }
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool scatters(const Schedule& schedule) { return schedule.operation != Operation::all_gather; }
bool gathers(const Schedule& schedule) { return schedule.operation != Operation::reduce_scatter; }

// A stretch of steps [first, last) of the way in; the way out takes the same ones backwards.
struct Stretch {
  bool gathering = false;
  std::int64_t first = 0, last = 0;
};
Stretch stretch_of(const Schedule& schedule, int phase) {
  const std::vector<std::int64_t> ends = turns(schedule);
  const int count = static_cast<int>(ends.size());
  const bool gathering = !scatters(schedule) || phase >= count;
  const int index = gathering ? count - 1 - phase % count : phase;
  return {gathering, index == 0 ? 0 : ends[index - 1], ends[index]};
}

std::vector<Phase> phases(const Schedule& schedule) {
  const int count = static_cast<int>(turns(schedule).size());
  const int ways = (scatters(schedule) ? 1 : 0) + (gathers(schedule) ? 1 : 0);
  std::vector<Phase> phases;
  for (int phase = 0; phase < ways * count; ++phase) {
    const Stretch stretch = stretch_of(schedule, phase);
    const std::string what = stretch.gathering ? "all-gather" : "reduce-scatter";
    phases.push_back({fmt::format("{} along dimensions, part {}", what, phase % count + 1),
                      stretch.last - stretch.first, true});
  }
  return phases;
}

// What one copy moves in a step: `block` is the position along the stage's dimension.
struct Hand {
  int copy = 0;
  Moment moment;
  bool gathering = false;
  std::int64_t block = 0;
};

Hand hand_of(const Schedule& schedule, int rank, int copy, const Stretch& stretch,
             std::int64_t step) {
  // The way out is the way in backwards, stage by stage; within a stage steps count forwards.
  const std::int64_t at = stretch.gathering ? stretch.last - 1 - step : stretch.first + step;
  Hand hand{copy, moment_of(schedule, copy, at), stretch.gathering, 0};
  const int extent = extent_of(schedule, copy, hand.moment.stage);
  if (stretch.gathering) hand.moment.step = extent - 2 - hand.moment.step;
  const int position = coordinate_of(schedule, rank, axis_of(schedule, copy, hand.moment.stage));
  hand.block = block_passed(hand.gathering, position, hand.moment.step, extent,
                            direction_of(schedule, copy));
  return hand;
}

ChunkRange range_of(const Schedule& schedule, int rank, const Hand& hand) {
  std::int64_t place = hand.copy;
  for (int stage = 0; stage < hand.moment.stage; ++stage)
    place = place * extent_of(schedule, hand.copy, stage) +
            coordinate_of(schedule, rank, axis_of(schedule, hand.copy, stage));
  place = place * extent_of(schedule, hand.copy, hand.moment.stage) + hand.block;
  const std::int64_t count = places_after(schedule, hand.copy, hand.moment.stage);
  return {place * count, count};
}

// Chunks one by one: of every rank at `block` that agrees with `rank` in all dimensions done.
void add_chunks(const Schedule& schedule, const Hand& hand, int rank, int target,
                std::vector<Send>& sends) {
  const int axis = axis_of(schedule, hand.copy, hand.moment.stage);
  const int first = neighbour(schedule, rank, axis,
                              static_cast<int>(hand.block) - coordinate_of(schedule, rank, axis));
  const std::int64_t count = places_after(schedule, hand.copy, hand.moment.stage);
  for (std::int64_t i = 0; i < count; ++i) {
    int owner = first;
    std::int64_t rest = i;
    for (int stage = hand.moment.stage + 1; stage < axes(schedule); ++stage) {
      const int free = axis_of(schedule, hand.copy, stage);
      const int to = static_cast<int>(rest % schedule.dims[free]);
      owner = neighbour(schedule, owner, free, to - coordinate_of(schedule, owner, free));
      rest /= schedule.dims[free];
    }
    const std::int64_t chunk = std::int64_t{owner} * copies(schedule) + hand.copy;
    const int channel = static_cast<int>(i) * copies(schedule) + hand.copy;
    sends.push_back({rank, target, {chunk, 1}, ring_action(hand.gathering), channel});
  }
}

// Of one source in one copy.
void add_sends_of(const Schedule& schedule, int rank, int copy, const Stretch& stretch,
                  std::int64_t step, std::vector<Send>& sends) {
  const Hand hand = hand_of(schedule, rank, copy, stretch, step);
  const int axis = axis_of(schedule, copy, hand.moment.stage);
  const int target = neighbour(schedule, rank, axis, direction_of(schedule, copy));
  if (!lies_together(schedule)) return add_chunks(schedule, hand, rank, target, sends);
  const ChunkRange range = range_of(schedule, rank, hand);
  sends.push_back({rank, target, range, ring_action(hand.gathering), copy});
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const Stretch stretch = stretch_of(schedule, phase);
  for (int copy = 0; copy < copies(schedule); ++copy) {
    const Hand hand = hand_of(schedule, rank, copy, stretch, step);
    const int axis = axis_of(schedule, copy, hand.moment.stage);
    const int source =
        sending ? rank : neighbour(schedule, rank, axis, -direction_of(schedule, copy));
    add_sends_of(schedule, source, copy, stretch, step, sends);
  }
}

// Per step the copies share the hop of their rank; copy i at dimensions d1, d2 .. sends
// n / (2 D d1), then n / (2 D d1 d2) .. bytes:
//   sum over steps of (latency + sum over copies of the bytes of its message / bandwidth),
// all-reduce twice that. For one dimension of p it is the ring of two channels.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  Seconds one_way;
  for (std::int64_t step = 0; step < steps_one_way(schedule); ++step) {
    std::uint64_t bytes = 0;
    for (int copy = 0; copy < copies(schedule); ++copy) {
      const std::int64_t count =
          places_after(schedule, copy, moment_of(schedule, copy, step).stage);
      bytes += lies_together(schedule)
                   ? largest_bytes(schedule, count, size)
                   : static_cast<std::uint64_t>(count) * largest_bytes(schedule, 1, size);
    }
    one_way += step_time(hop, bytes);
  }
  return (schedule.operation == Operation::all_reduce ? 2 : 1) * one_way;
}

constexpr Maker maker{operations, refusal,    chunk_count, channel_count, own_part,
                      phases,     first_step, all_steps,   add_sends,     closed_form};

}  // namespace

const Maker& torus_maker() { return maker; }

}  // namespace railwright::collectives
