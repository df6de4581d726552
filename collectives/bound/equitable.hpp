// The coarsest equitable partition of a network: vertices of one class have the same capacity to
// every class, and from every class. Internal to the bound.
//
// A flow between unions of classes can be averaged: with what goes from class C to class D shared
// out over their links in proportion to capacity, every vertex of C gives and every vertex of D
// gets the same, so it is a flow again, of the same value. So the largest flow, and the least cut,
// of the quotient network (one vertex per class, capacities added up) are those of the network.
// (For linear programs at large: Grohe, Kersting, Mladenov, Selman, "Dimension reduction via colour
// refinement", 2014.)
#pragma once

#include <span>

#include "collectives/bound/flow_network.hpp"

namespace railwright::collectives {

class EquitablePartition {
 public:
  // Refines the colours, one per vertex. Both must outlive it.
  EquitablePartition(const LinkRates& rates, const Entering& entering,
                     const std::vector<int>& colour);

  // Sets these vertices apart from the rest of their classes, and refines.
  void set_apart(std::span<const int> vertices);

  int classes() const { return static_cast<int>(begin_.size()); }
  int class_of(int vertex) const { return class_[vertex]; }
  std::span<const int> vertices_of(int one) const {
    return {order_.data() + begin_[one], static_cast<std::size_t>(end_[one] - begin_[one])};
  }
  // One vertex per class; what leads from one class to another as one link.
  FlowNetwork quotient(Direction direction) const;
  // Classes to the vertices in them.
  VertexSet lifted(const VertexSet& classes) const;

 private:
  struct Group {
    int of = 0;  // class
    std::vector<int> vertices;
  };

  void refine(std::vector<int> changed);
  void mark_neighbours(const std::vector<int>& changed);
  std::uint64_t signature(int vertex) const;
  std::vector<Group> groups_of_dirty() const;
  void split(std::vector<Group> groups, std::vector<int>& changed);
  void move_out(const Group& group, std::vector<int>& changed);
  bool is_equitable() const;

  const LinkRates& rates_;
  const Entering& entering_;
  std::vector<int> class_, place_, order_;  // of each vertex; where it is in the order
  std::vector<int> begin_, end_;            // of each class in the order
  std::vector<int> dirty_;                  // vertices beside those that changed
  std::vector<char> is_dirty_;
};

}  // namespace railwright::collectives
