#include <array>

#include "collectives/algorithms/butterflies/butterfly.hpp"

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

// Who meets whom is told by the distance alone: the patterns are those of recursive doubling. The
// folds of surplus ranks are left to `sends`.
std::vector<Layer> layers(const Schedule& schedule, int phase) {
  const Core core(schedule.ranks);
  if (core.surplus > 0) return {};
  int round = phase;  // of the reduce-scatter that this is, or undoes
  if (schedule.operation == Operation::all_gather) round = core.rounds - 1 - phase;
  if (phase >= core.rounds) round = 2 * core.rounds - 1 - phase;
  const auto distance = static_cast<unsigned>(distance_of(schedule, round));
  return {{.pattern = std::countr_zero(distance), .chunks = core.size >> (round + 1)}};
}

Schedule with_same_patterns(const Schedule& schedule) {
  const Core core(schedule.ranks);
  return core.surplus > 0
             ? schedule
             : Schedule{Operation::all_reduce, Algorithm::recursive_doubling, schedule.ranks};
}

void connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  for (int rank = 0; rank < schedule.ranks; ++rank) sink(rank, rank ^ (1 << pattern), 0);
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
