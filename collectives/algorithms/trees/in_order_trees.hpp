// Two binary trees over the same ranks such that no rank but the root has children in both.
//
// Nodes count 1 .. q from left to right: node v with lowest set bit b has its children near
// v - b/2 and v + b/2, so odd nodes are leaves. The second tree is the first one mirrored (q even)
// or shifted by one place (q odd), which turns its inner nodes into leaves (Sanders, Speck, Traeff:
// Two-tree algorithms for full bandwidth broadcast, reduction and scan, Parallel Computing 35,
// 2009; NCCL takes the same two, src/graph/trees.cc).
#pragma once

#include <array>
#include <bit>

#include "collectives/maker.hpp"

namespace railwright::collectives {

class TwoTrees {
 public:
  // Over all ranks; each tree has a root of its own.
  explicit TwoTrees(int ranks) : ranks_(ranks), nodes_(ranks), root_(-1) {}
  // Over the other ranks, in order from root + 1 on, with the root on top of both trees.
  TwoTrees(int ranks, int root) : ranks_(ranks), nodes_(ranks - 1), root_(root) {}

  // Edges on the longest way to a root.
  int height() const { return std::bit_width(static_cast<unsigned>(nodes_)) - (root_ < 0 ? 1 : 0); }
  // All of these are asked for tree 0 or 1. Edges from the root down to `rank`.
  int depth(int tree, int rank) const {
    if (rank == root_) return 0;
    int depth = root_ < 0 ? 0 : 1;
    for (int v = node_of(tree, rank); above(v) != 0; v = above(v)) ++depth;
    return depth;
  }
  // -1 at a root.
  int parent(int tree, int rank) const {
    if (rank == root_) return -1;
    const int v = above(node_of(tree, rank));
    return v == 0 ? root_ : rank_of(tree, v);
  }
  // -1 where there is none.
  std::array<int, 2> children(int tree, int rank) const {
    if (rank == root_) return {rank_of(tree, top()), -1};
    const int v = node_of(tree, rank), bit = lowest_bit(v);
    int reach = bit / 2;
    while (reach > 0 && v + reach > nodes_) reach /= 2;
    return {bit > 1 ? rank_of(tree, v - bit / 2) : -1, reach > 0 ? rank_of(tree, v + reach) : -1};
  }
  // All ranks so many edges below the head of a tree, from left to right.
  template <class Do>
  void for_depth(int tree, int depth, Do act) const {
    descend(tree, root_ < 0 ? rank_of(tree, top()) : root_, depth, act);
  }
  // 1 for a right child, else 0.
  int side(int tree, int rank) const {
    const int v = node_of(tree, rank), up = above(v);
    return up != 0 && v > up ? 1 : 0;
  }

 private:
  template <class Do>
  void descend(int tree, int rank, int depth, Do& act) const {
    if (depth == 0) return act(rank);
    for (const int child : children(tree, rank))
      if (child >= 0) descend(tree, child, depth - 1, act);
  }
  static int lowest_bit(int v) { return v & -v; }
  int top() const { return static_cast<int>(std::bit_floor(static_cast<unsigned>(nodes_))); }
  // 0 above the top.
  int above(int v) const {
    const int bit = lowest_bit(v), up = (v ^ bit) | (bit << 1);
    return up > nodes_ ? v ^ bit : up;
  }
  int node_of(int tree, int rank) const {
    const int place = root_ < 0 ? rank : modulo(rank - root_ - 1, ranks_);
    if (tree == 0) return place + 1;
    return nodes_ % 2 == 0 ? nodes_ - place : (place + 1) % nodes_ + 1;
  }
  int rank_of(int tree, int v) const {
    int place = v - 1;
    if (tree == 1) place = nodes_ % 2 == 0 ? nodes_ - v : modulo(v - 2, nodes_);
    return root_ < 0 ? place : modulo(place + root_ + 1, ranks_);
  }

  int ranks_, nodes_, root_;
};

}  // namespace railwright::collectives
