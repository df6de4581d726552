// Spanning trees over ranks that share the links of a network best: a linear program, solved by
// column generation. Internal to the bound and the synthesis.
//
//   maximize  sum of w_T   subject to   sum of w_T uses_T(l) <= capacity(l)  for every link l
//
// A tree joins all ranks by ways over any vertices; switches do not multicast, so a way that leads
// through a link is counted each time. The tree that prices the program is the cheapest under the
// prices of the links: the minimum spanning tree of their metric closure (Mehlhorn, "A faster
// approximation algorithm for the Steiner problem in graphs", 1988).
#pragma once

#include <utility>
#include <vector>

#include "topology/graph.hpp"

namespace railwright::collectives {

// Both directions of a link as one, at the rate of the slower.
struct UndirectedNetwork {
  struct Link {
    int a = 0, b = 0;           // vertices
    double capacity = 0;        // bytes/s each way
    int forth = -1, back = -1;  // links of the graph
  };
  int vertices = 0;
  std::vector<Link> links;
  std::vector<int> ranks;  // vertices
};
UndirectedNetwork undirected(const topology::Graph& graph, std::vector<int> ranks);

struct SpanningTree {
  // Between two vertices of ranks, over links from a to b.
  struct Edge {
    int a = 0, b = 0;
    std::vector<int> way;
  };
  std::vector<Edge> edges;
  double weight = 0;  // bytes/s
};

struct TreePacking {
  double rate = 0;   // bytes/s, of all trees
  double bound = 0;  // of the program: the optimum lies between the two
  std::vector<SpanningTree> trees;
};
// Stops within 1e-6 of the optimum, or where it would take more than some seconds.
TreePacking packed_trees(const UndirectedNetwork& network);

}  // namespace railwright::collectives
