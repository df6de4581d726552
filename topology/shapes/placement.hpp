// Where the sites of a shape lie in the graph.
//
// A shape counts its sites by itself: endpoints 0 .. n-1, then its own switches. A placement maps
// them to vertices: endpoints in runs of consecutive vertices (one run per node group), switches
// in one run.
#pragma once

#include <vector>

#include "topology/graph.hpp"

namespace railwright::topology {

struct Placement {
  struct Run {
    int first_endpoint = 0;
    int first_vertex = 0;
  };
  std::vector<Run> runs;  // ascending first_endpoint
  int endpoints = 0;
  int first_switch = 0;  // vertex of site `endpoints`

  VertexId vertex_of(int site) const {
    if (site >= endpoints) return {first_switch + site - endpoints};
    std::size_t run = runs.size() - 1;
    while (site < runs[run].first_endpoint) --run;
    return {runs[run].first_vertex + site - runs[run].first_endpoint};
  }
};

// Takes the links of a shape, in sites, and adds them to a graph under construction.
class LinkSink {
 public:
  LinkSink(GraphBuilder& builder, const Placement& placement)
      : builder_(builder), placement_(placement) {}
  void duplex(int a, int b, ClassId link_class) const {
    builder_.add_duplex(placement_.vertex_of(a), placement_.vertex_of(b), link_class);
  }

 private:
  GraphBuilder& builder_;
  const Placement& placement_;
};

// A neighbour one step nearer to the target. `dimension` is that of a ring, mesh or torus, else -1;
// `weight` is the number of lanes that lead there.
struct Hop {
  int site = 0;
  int dimension = -1;
  double weight = 1;
};

// Switches of a shape, named like a VertexBlock.
struct SwitchBlock {
  std::string pattern;
  std::vector<int> radix;
};

}  // namespace railwright::topology
