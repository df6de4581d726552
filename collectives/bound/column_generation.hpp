// Trees that share links best, whatever they span: a linear program by column generation.
// Internal to tree packing.
//
//   maximize  sum of w_T   subject to   sum of w_T uses_T(l) <= capacity(l)  for every link l
#pragma once

#include <functional>
#include <vector>

#include "collectives/bound/tree_packing.hpp"

namespace railwright::collectives {

// The tree of least cost under a price per link; fewer edges than asked for where there is none.
using CheapestColumn = std::function<SpanningTree(const std::vector<double>& price)>;

// Trees have `edges` edges. Stops within 1e-6 of the optimum, after so many trees, or after some
// seconds.
TreePacking packing_of(const std::vector<double>& capacity, std::size_t edges,
                       const CheapestColumn& cheapest, int most_trees = 1 << 30);

}  // namespace railwright::collectives
