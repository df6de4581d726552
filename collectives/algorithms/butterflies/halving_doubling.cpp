#include <array>

#include "collectives/algorithms/butterflies/butterfly.hpp"
#include "collectives/algorithms/butterflies/meetings.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather};

int one_copy(const Schedule&) { return 1; }

// An all-reduce may leave any block anywhere, so its first and largest exchange is with the nearest
// rank. Parts in rank order ask for the farthest one first.
int distance_of(const Schedule& schedule, int round) {
  if (schedule.operation == Operation::all_reduce) return 1 << round;
  return Core(schedule.ranks).size >> (round + 1);
}

int partner(const Schedule& schedule, int, int index, int round) {
  return index ^ distance_of(schedule, round);
}

// Blocks are numbered so that each round parts them in the middle.
Blocks kept(const Schedule& schedule, int, int index, int round) {
  const Core core(schedule.ranks);
  const bool near_first = schedule.operation == Operation::all_reduce;
  const int place = near_first ? reversed_bits(index, core.rounds) : index;
  const int count = core.size >> (round + 1);
  return {place & ~(count - 1), count};
}

constexpr Pairing pairing{one_copy, partner, kept, distance_of};

// A fold moves whole buffers where they are reduced, or gathered; else the part of one rank.
std::vector<Layer> fold(const Schedule& schedule, int pattern, bool in) {
  const Operation parts = in ? Operation::all_gather : Operation::reduce_scatter;
  const std::int64_t whole = maker_of(schedule).chunk_count(schedule);
  return {{.pattern = pattern, .chunks = schedule.operation == parts ? 1 : whole}};
}

std::vector<Layer> layers(const Schedule& schedule, int phase) {
  const Meetings meetings(schedule.ranks);
  const Core& core = meetings.core();
  const bool all = schedule.operation == Operation::all_reduce;
  const bool gathers = schedule.operation == Operation::all_gather;
  if (core.surplus > 0) --phase;
  if (phase < 0) return fold(schedule, meetings.fold_in(), true);
  if (phase == (all ? 2 : 1) * core.rounds) return fold(schedule, meetings.fold_out(), false);
  int round = phase;  // of the reduce-scatter that this is, or undoes
  if (gathers) round = core.rounds - 1 - phase;
  if (phase >= core.rounds) round = 2 * core.rounds - 1 - phase;
  const int distance = distance_of(schedule, round);
  return meetings.exchange(distance, [&](Meetings::Kind source, Meetings::Kind target) {
    if (all) return std::int64_t{core.size >> (round + 1)};
    return meetings.parts(gathers ? source : target, distance);
  });
}

Schedule with_same_patterns(const Schedule& schedule) {
  return {Operation::all_reduce, Algorithm::recursive_doubling, schedule.ranks};
}

void connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  Meetings(schedule.ranks).connections(pattern, sink);
}

constexpr Maker maker_with_layers() {
  Maker maker = butterfly_maker<pairing>(operations, no_refusal);
  maker.layers = layers;
  maker.connections = connections;
  maker.with_same_patterns = with_same_patterns;
  return maker;
}
constexpr Maker maker = maker_with_layers();

}  // namespace

const Maker& halving_doubling_maker() { return maker; }

}  // namespace railwright::collectives
