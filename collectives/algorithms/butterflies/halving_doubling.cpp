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
constexpr Maker maker = butterfly_maker<pairing>(operations, no_refusal);

}  // namespace

const Maker& halving_doubling_maker() { return maker; }

}  // namespace railwright::collectives
