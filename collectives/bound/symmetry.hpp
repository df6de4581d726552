// Which ranks of a network can take each other's place. Internal to the bound.
//
// An equitable partition does not say that: of a hexagon and two triangles on one hub all corners
// have one class. So symmetries are guessed and proved. The guess turns a run of members, in the
// order of the group, by some places; whatever is joined to them follows, neighbours in the order
// of their numbers; what nothing forces stays. The proof looks at every link of what moved. Members
// that are not proved alike count as different, which costs time and is never wrong.
#pragma once

#include "collectives/bound/equitable.hpp"

namespace railwright::collectives {

class Symmetry {
 public:
  // Of the classes of `partition` that hold `members`, in their order.
  Symmetry(const LinkRates& rates, const Entering& entering, const EquitablePartition& partition,
           const std::vector<int>& members);

  struct Orbit {
    int member = 0;  // the first of those that are alike
    Amount size = 0;
  };
  const std::vector<Orbit>& orbits() const { return orbits_; }
  // Sizes of blocks into which all members fall in their order, every block the image of the first;
  // ascending, from 1. Empty where members are not all alike.
  const std::vector<int>& blocks() const { return blocks_; }

 private:
  using List = std::span<const int>;  // members of one class

  // How many of the list are proved alike from the first on.
  std::size_t join(List list, std::vector<int>& blocks);
  std::vector<std::size_t> balls(int member);
  bool turn(List list, std::size_t unit, std::size_t period);
  bool assign(int vertex, int image);
  bool follow(int vertex);
  int counterpart(int link, int image) const;
  bool is_proved() const;
  bool keeps(int source, int target, Amount capacity) const;
  int image_of(int vertex) const { return image_[vertex] < 0 ? vertex : image_[vertex]; }
  int root_of(int vertex);

  const LinkRates& rates_;
  const Entering& entering_;
  const EquitablePartition& partition_;
  std::vector<int> image_, origin_;  // of a guess; -1: none
  std::vector<int> moved_;           // vertices with an image
  std::vector<int> parent_;          // of vertices that are alike
  std::int64_t work_ = 0;            // links looked at
  std::vector<Orbit> orbits_;
  std::vector<int> blocks_;
};

}  // namespace railwright::collectives
