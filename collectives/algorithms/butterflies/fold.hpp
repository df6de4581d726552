// Any rank count for algorithms that need a power of two.
#pragma once

#include <bit>

#include "collectives/maker.hpp"

namespace railwright::collectives {

// The core is the largest power of two in p. Of the first 2 x surplus ranks the odd ones stay
// outside: each folds into the even rank below it at the beginning and out of it at the end.
// The ranks of the core count 0 .. size-1 in their order.
struct Core {
  int size = 1, rounds = 0, surplus = 0;

  explicit Core(int ranks) {
    const auto power = std::bit_floor(static_cast<unsigned>(ranks));
    size = static_cast<int>(power);
    rounds = std::countr_zero(power);
    surplus = ranks - size;
  }
  bool folds(int rank) const { return rank < 2 * surplus; }
  bool is_outside(int rank) const { return folds(rank) && rank % 2 == 1; }
  int index_of(int rank) const { return folds(rank) ? rank / 2 : rank - surplus; }
  int rank_of(int index) const { return index < surplus ? 2 * index : index + surplus; }
};

}  // namespace railwright::collectives
