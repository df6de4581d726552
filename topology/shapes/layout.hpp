// Which vertices a cluster has and in which order, told by its spec alone. The builder makes the
// graph from it, the router and the bisection find their way by it; nothing is stored per vertex.
//
// Order: per node group accelerators, node switches, host bridges, NICs; then the switches of each
// network; then the switches written out one by one.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "topology/result.hpp"
#include "topology/shapes/direct.hpp"
#include "topology/shapes/switched.hpp"
#include "topology/spec.hpp"

namespace railwright::topology {

using Fabric = std::variant<Star, FullMesh, Grid, Clos, Dragonfly>;

struct GroupLayout {
  int nodes = 0, accelerators = 0;  // accelerators of one node
  int nics = 0;                     // of one node, 0 = the network joins the accelerators
  int sharing = 1;                  // accelerators of one NIC
  int first_accelerator = 0, first_node = 0;
  int first_vertex = 0, first_switch = -1, first_bridge = -1, first_nic = -1;
  std::vector<Fabric> scale_up;  // one shape that all nodes of the group repeat, or none

  int ends() const { return nics > 0 ? nics : accelerators; }  // of one node, towards a network
  int first_end() const { return nics > 0 ? first_nic : first_vertex; }
  // Sites of the scale-up shape in one node.
  Placement node_placement(int node_in_group) const;
};

struct NetworkLayout {
  Fabric fabric;
  Placement placement;
  std::vector<int> first_endpoint;  // per node group, -1 when it is not on this network
};

struct Layout {
  std::vector<GroupLayout> groups;
  std::vector<NetworkLayout> networks;
  std::vector<VertexBlock> blocks;
  std::int64_t vertices = 0;
  std::int64_t duplex_links = 0;  // of the shapes, explicit links not counted
};

// Checks all that can be checked without a graph; all errors at once.
Result<Layout> layout_of(const ClusterSpec& spec);

// The shape of a network over `endpoints`, `rails` of which belong to each node.
Result<Fabric> network_fabric(const NetworkSpec& network, int endpoints, int rails);
Result<Fabric> scale_up_fabric(const NodeGroup& group);

}  // namespace railwright::topology
