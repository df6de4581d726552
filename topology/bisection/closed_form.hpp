// Exact bisections of single shapes.
#pragma once

#include <optional>

#include "topology/shapes/layout.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {

// Nothing when the cluster is not one shape, or one for which no formula is known.
//
// Chips directly on a network, or inside one node (n endpoints of capacity c, h = floor(n / 2)):
//   switch      h c
//   full mesh   h (n - h) c
//   mesh        sum of C_i c, i = 1 .. a, where dimensions are sorted downwards, C_i is the product
//               of those after i, and a is the first even one (or the last); torus: twice that.
//               Efe and Feng, "A Proof for Bisection Width of Grids", 2007.
//   fat-trees   the cheapest of all fillings of leaves, one of them in part
// Servers with a NIC per accelerators on a switch or fat-tree: the cut takes whole nodes, since
// splitting a node cuts its scale-up links instead, which are at least twice as fast as its NICs.
std::optional<Bisection> closed_form_bisection(const Cluster& cluster, const Layout& layout);

}  // namespace railwright::topology
