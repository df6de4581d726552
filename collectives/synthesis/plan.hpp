// Timed edges of trees, and the forest that they make. Internal to the synthesis.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/schedule.hpp"
#include "collectives/synthesis/matching.hpp"

namespace railwright::collectives {

// Times in ps; the way as links of the graph.
struct TimedEdge {
  int tree = 0, source = 0, target = 0;
  bool up = false;
  std::int64_t start = 0, left = 0;
  std::vector<int> way;
};

struct Plan {
  std::vector<TimedEdge> edges;
  std::int64_t time = 0;
};

// A matching as it is: every chunk goes down its tree.
Plan spreading(const Matching& matching);
// A matching on the reversed fabric played backwards: every chunk comes up its tree.
Plan collecting(const Matching& matching);
// One after the other.
Plan followed_by(Plan first, const Plan& second);

// The plan as trees. A step is as early as what it waits for allows: arrivals of the same tree, the
// previous edge of the source's channel, turns on the links of its way. Sends of a rank that start
// on one link and do not overlap share a channel.
Forest forest_of(Plan plan, std::vector<int> root, const topology::Graph& graph);

}  // namespace railwright::collectives
