// Sends that bring a route along take turns on the links that they fill, in the order of their
// steps: one starts when the one before has left each of them. It is the third part of the rule of
// time (docs/collectives.md) and says only when, so proofs hold without it.
#pragma once

#include <vector>

#include "topology/graph.hpp"

namespace railwright::collectives {

// The narrowest links of a route, by raw line rate.
std::vector<topology::LinkId> filled_links(const std::vector<topology::LinkId>& route,
                                           const topology::Graph& graph);

}  // namespace railwright::collectives
