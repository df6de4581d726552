// The cut that holds a gathering back the most. Internal to the bound.
#pragma once

#include "collectives/bound/flow_network.hpp"

namespace railwright::collectives {

// Vertex v holds weight[v] of the data, and every sink wants all of it.
struct Gathering {
  std::vector<Amount> weight;  // one per vertex
  std::vector<int> sinks;      // vertices; neighbours in the list should be near each other
};

// capacity = B+(inside), in units of the network; weight = what `inside` holds.
struct Cut {
  Amount capacity = 0, weight = 1;
  VertexSet inside;
};

// The least B+(S) / weight(S) over all S that hold some weight and leave out a sink.
//
// Newton's method on x = B+(S) / weight(S): with x times its weight supplied at every vertex, all
// of it can reach each sink unless some cut is tighter than x, and then the minimum cut is one.
// The flow to one sink, moved on to the next, is a flow to that one, so each sink costs only what
// differs between the two. Some vertex must hold weight that is not a sink, or there are two.
Cut tightest_cut(FlowNetwork& network, const Gathering& gathering);

// Sinks that share their tightest sets: for each sink the smallest set around it whose links in
// are all needed at the rate of `cut`, those that overlap united. Every sink is in one part.
std::vector<std::vector<int>> tight_parts(FlowNetwork& network, const Gathering& gathering,
                                          const Cut& cut);

// The least B+(S) over sets that hold all of `sources` and none of `sinks`; weight is 1.
Cut cut_between(FlowNetwork& network, const std::vector<int>& sources,
                const std::vector<int>& sinks);

}  // namespace railwright::collectives
