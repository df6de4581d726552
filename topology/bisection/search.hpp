// Bisections of any graph, by search.
#pragma once

#include <string>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::topology {

// The best of two starts - accelerators in their order, and along the second eigenvector of the
// Laplacian - each improved by Fiduccia-Mattheyses passes. An upper bound, not exact. Graphs of
// more than a million links keep the first start, with every switch on its cheaper side.
Bisection searched_bisection(const Cluster& cluster);

// An undirected view of the graph: each link, both ways, with half its capacity; accelerators
// weigh 1, all else 0.
class CutGraph {
 public:
  explicit CutGraph(const Cluster& cluster);

  struct Neighbour {
    int vertex;
    double capacity;
  };
  int vertices() const { return static_cast<int>(first_.size()) - 1; }
  const std::vector<int>& accelerators() const { return accelerators_; }
  bool weighs(int vertex) const { return weighs_[vertex]; }
  const Neighbour* begin(int vertex) const { return neighbours_.data() + first_[vertex]; }
  const Neighbour* end(int vertex) const { return neighbours_.data() + first_[vertex + 1]; }

 private:
  std::vector<std::int64_t> first_;
  std::vector<Neighbour> neighbours_;
  std::vector<int> accelerators_;  // vertices
  std::vector<char> weighs_;
};

// Sides 0 and 1 of every vertex.
using Sides = std::vector<char>;

// The first half of `order` (of accelerators) on side 1, every other vertex where it cuts least.
Sides halved(const CutGraph& graph, const std::vector<int>& order);
// Accelerators along the second eigenvector, by power iteration with a fixed start.
std::vector<int> spectral_order(const CutGraph& graph, int rounds);
// Moves vertices one by one, best gain first, each once a pass, and keeps the best prefix;
// accelerators stay halved. Passes until none helps, at most `passes`.
void improve(const CutGraph& graph, Sides& sides, int passes);

}  // namespace railwright::topology
