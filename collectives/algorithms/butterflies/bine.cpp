#include <array>
#include <cstdlib>

#include "collectives/algorithms/butterflies/negabinary.hpp"
#include "collectives/algorithms/butterflies/swing.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather};

// An all-reduce goes nearest first, as Swing does. With the farthest first, a third of the ring
// away instead of half, what a rank keeps are neighbouring ranks' blocks on the ring of all ranks:
// parts stay in rank order, in at most two pieces.
bool near_first(const Schedule& schedule) { return schedule.operation == Operation::all_reduce; }

int partner(const Schedule& schedule, int copy, int index, int round) {
  if (near_first(schedule)) return swing::partner(schedule, copy, index, round);
  const Core core(schedule.ranks);
  return negabinary::partner(index, core.rounds - 1 - round, core.size);
}

// Numbers of k negabinary digits are 2^k neighbours, from all odd digits to all even ones.
Blocks kept(const Schedule& schedule, int copy, int index, int round) {
  if (near_first(schedule)) return swing::kept(schedule, copy, index, round);
  const Core core(schedule.ranks);
  const int count = core.size >> (round + 1), mask = count - 1;
  const int below = index % 2 == 0 ? static_cast<int>(negabinary::odd_digits & unsigned(mask))
                                   : static_cast<int>(negabinary::even_digits & unsigned(mask));
  return {modulo(index - below, core.size), count};
}

int distance(const Schedule& schedule, int round) {
  if (near_first(schedule)) return swing::distance(schedule, round);
  return std::abs(negabinary::reach(Core(schedule.ranks).rounds - 1 - round));
}

constexpr Pairing pairing{swing::copies, partner, kept, distance};
constexpr Maker maker = butterfly_maker<pairing>(operations, swing::refusal);

}  // namespace

const Maker& bine_maker() { return maker; }

}  // namespace railwright::collectives
