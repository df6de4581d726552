// The links of a graph as whole numbers. Internal to the bound.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "topology/graph.hpp"

namespace railwright::collectives {

using Amount = std::int64_t;

struct LinkRates {
  const topology::Graph* graph = nullptr;
  // Of each link, in units of so many bytes/s, the greatest that divides all of them. A rate that
  // is no whole number of bytes/s is rounded up: a bound must stay a bound.
  std::vector<Amount> capacity;
  Amount unit = 1, total = 0;
};
LinkRates rates_of(const topology::Graph& graph);
LinkRates rates_of(const topology::Graph& graph,
                   const std::function<Bandwidth(topology::LinkId)>& rate_of);
// The same with links between vertices that are all `usable`, one flag each; others carry nothing.
LinkRates rates_within(const std::vector<char>& usable, const topology::Graph& graph);
// Both directions of a link at the rate of the slower; nothing where there is one only.
LinkRates with_equal_directions(LinkRates rates);

// Links that enter each vertex: those of v are links[first[v]] .. links[first[v + 1] - 1].
struct Entering {
  std::vector<int> first, links;
};
Entering entering(const topology::Graph& graph);

}  // namespace railwright::collectives
