// What an algorithm must know about itself. One file per algorithm in algorithms/ fills one Maker;
// schedule.cpp, phase_loads.cpp and cost.cpp ask it and know no algorithm by name.
//
// Internal to this floor: users see schedule.hpp and cost.hpp.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "collectives/cost.hpp"
#include "collectives/schedule.hpp"

namespace railwright::collectives {

// One step of a phase, standing for `steps` of its steps.
struct Sample {
  std::int64_t step = 0, steps = 0;
  bool operator==(const Sample&) const = default;
};

// Sends that many phases make alike, such as the rings inside all nodes: a pattern. In `sample` of
// a phase all sends of this pattern are made, each of `chunks`.
struct Layer {
  int pattern = 0;
  int sample = 0;
  int channel = 0;  // added to the channels of the pattern
  std::int64_t chunks = 1;
  bool waits = true;  // shows its latency
};
using ConnectionSink = std::function<void(int source, int target, int channel)>;

// All functions but `refusal` may assume a schedule that why_not() has nothing against and at least
// two ranks; ranks, phases and steps are in range.
struct Maker {
  std::span<const Operation> operations;
  std::string (*refusal)(const Schedule&);  // of parameters that are special to this algorithm
  std::int64_t (*chunk_count)(const Schedule&);
  int (*channel_count)(const Schedule&);
  ChunkRange (*own_part)(const Schedule&, int rank);  // reduce-scatter and all-gather only
  std::vector<Phase> (*phases)(const Schedule&);
  // The step of a phase in which most of its connections are in use.
  std::int64_t (*busiest_step)(const Schedule&, int phase);
  // How many of the `steps` of a phase wait for an arrival and so show a latency.
  std::int64_t (*waiting_steps)(const Schedule&, int phase, std::int64_t steps);
  // Appends to `sends` those of the step whose source (`sending`) or target is `rank`, or a switch;
  // O(sends appended).
  void (*sends)(const Schedule&, int rank, int phase, std::int64_t step, bool sending,
                std::vector<Send>& sends);
  Seconds (*closed_form)(const Schedule&, Bytes size, Hop hop);
  int (*switch_count)(const Schedule&) = [](const Schedule&) { return 0; };
  // Of switch 0 .. switch_count-1: the ranks that it exchanges data with, ascending.
  std::vector<int> (*ranks_of_switch)(const Schedule&, int index) = nullptr;
  // Steps that stand for all of a phase whose connections change; null: the busiest one does.
  std::vector<Sample> (*samples)(const Schedule&, int phase) = nullptr;
  // Whether a send of a phase shows its latency; null: all do.
  bool (*waits)(const Schedule&, int phase, const Send& send) = nullptr;
  // What `sends` says of the samples of a phase, in patterns; null, or no layers: ask `sends`. For
  // schedules over a million ranks, whose patterns are few.
  std::vector<Layer> (*layers)(const Schedule&, int phase) = nullptr;
  // The sends of a pattern, from rank to rank, channel by channel.
  void (*connections)(const Schedule&, int pattern, const ConnectionSink& sink) = nullptr;
  // One schedule for all that have the same connections in their patterns, segments apart; null:
  // the schedule itself.
  Schedule (*with_same_patterns)(const Schedule&) = nullptr;
};

// Of a phase; the busiest step where the maker names none.
std::vector<Sample> samples_of(const Schedule& schedule, int phase, std::int64_t steps);

const Maker& ring_maker();
const Maker& chain_maker();
const Maker& binomial_tree_maker();
const Maker& double_tree_maker();
const Maker& recursive_doubling_maker();
const Maker& halving_doubling_maker();
const Maker& swing_maker();
const Maker& bine_maker();
const Maker& torus_maker();
const Maker& bruck_maker();
const Maker& pat_maker();
const Maker& hierarchical_maker();
const Maker& pairwise_maker();
const Maker& direct_maker();
const Maker& one_shot_maker();
const Maker& nvls_maker();
const Maker& nvls_tree_maker();
const Maker& sharp_maker();
const Maker& synthesized_maker();
const Maker& node_tree_maker();               // double_tree over nodes of several ranks
const Maker& pipelined_hierarchical_maker();  // hierarchical in several segments
const Maker& maker_of(const Schedule& schedule);

// The most bytes that `count` neighbouring chunks can hold: ceil(count n / C), whatever their
// place.
std::uint64_t largest_bytes(const Schedule& schedule, std::int64_t count, Bytes size);

// One step of the alpha-beta model: latency + bytes / bandwidth.
inline Seconds step_time(Hop hop, std::uint64_t bytes) {
  return hop.latency + Bytes{bytes} / hop.bandwidth;
}

// Answers for algorithms to which a question does not apply.
inline std::string no_refusal(const Schedule&) { return {}; }
inline int one_channel(const Schedule&) { return 1; }
inline std::int64_t first_step(const Schedule&, int) { return 0; }
inline std::int64_t all_steps(const Schedule&, int, std::int64_t steps) { return steps; }
inline ChunkRange part_of_rank(const Schedule&, int rank) { return {rank, 1}; }

// value mod n in 0 .. n-1, for negative values too.
inline int modulo(std::int64_t value, int n) {
  const auto remainder = static_cast<int>(value % n);
  return remainder < 0 ? remainder + n : remainder;
}

}  // namespace railwright::collectives
