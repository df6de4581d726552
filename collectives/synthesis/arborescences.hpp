// Trees from one rank to all others, or from every rank, that together fill the tightest cut of a
// fabric (Edmonds, "Edge-disjoint branchings", 1973), in whole units and over switches. Internal to
// the synthesis.
//
// Trees are grown one after the other, shallow edges first. An edge is taken when what is left can
// still bring the rest to every rank: with k units missing, m of them by this tree, whose ranks so
// far are X, every set of vertices that holds a rank but not the root must be entered by k units,
// or by k - m where it holds one of X (Lovasz, "On two minimax theorems in graph", 1976). That is
// one maximum flow per rank, in the network with a vertex more that gets m from the root and
// reaches X. Switches that send on what they receive keep the condition sufficient (Bang-Jensen,
// Frank, Jackson 1995).
#pragma once

#include "collectives/bound/flow_network.hpp"
#include "collectives/synthesis/fabric.hpp"

namespace railwright::collectives {

struct WholeTree {
  struct Edge {
    int parent = 0, child = 0;  // ranks
    std::vector<int> way;       // links
  };
  int root = 0;  // rank
  Amount weight = 0;
  std::vector<Edge> edges;  // every parent before its children
};

struct WholePacking {
  double unit = 0;  // bytes/s of one unit of weight
  std::vector<WholeTree> trees;
};

// `root` < 0: from every rank, the same weight. Units are as coarse as lets the trees come within
// some tenths of a per cent of the tightest cut. Nothing where no trees are found.
WholePacking whole_packing(const Fabric& fabric, int root);

}  // namespace railwright::collectives
