// Questions about cuts of large symmetric networks, answered on quotients: with the ranks that a
// question names set apart, flows between unions of classes are those of the whole network
// (equitable.hpp); of ranks that are alike one is asked (symmetry.hpp). Internal to the bound.
#pragma once

#include <optional>

#include "collectives/bound/ranks.hpp"
#include "collectives/bound/symmetry.hpp"
#include "collectives/schedule.hpp"

namespace railwright::collectives {

class Folding {
 public:
  // Of ranks that can take each other's place while `alone`, a vertex, stays; -1: none does.
  explicit Folding(const Ranks& ranks, int alone = -1);
  Folding(const Folding&) = delete;
  Folding& operator=(const Folding&) = delete;

  // Whether so few kinds of ranks are left that they can be asked one by one in seconds.
  bool few_kinds() const;
  const std::vector<Symmetry::Orbit>& orbits() const { return symmetry_.orbits(); }
  const std::vector<int>& blocks() const { return symmetry_.blocks(); }
  // Those ranks, ascending, for a bound does not depend on their order; blocks are of this one.
  const std::vector<int>& members() const { return members_; }

  // The tightest cut that leaves `sink` out, with one part of the data at every rank, or all at
  // `source`.
  Cut tightest_around(int sink, Direction direction, int source = -1) const;
  // The least that leaves these ranks and no other.
  Cut outlet(const std::vector<int>& part, Direction direction) const;

 private:
  const Ranks& ranks_;
  Entering entering_;
  EquitablePartition partition_;
  std::vector<int> members_;
  Symmetry symmetry_;
};

// As limits on the whole network; nothing where too little is alike. For all_reduce the cuts and
// partitions are those of ranks, of blocks of ranks that are alike, and of the all-gather.
std::optional<Limit> folded_limit(Operation operation, const Ranks& ranks, const Folding& folding,
                                  int root);

}  // namespace railwright::collectives
