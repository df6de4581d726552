// What a cluster file says, as values, before the graph is built. docs/cluster.md is its page.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "topology/graph.hpp"
#include "topology/result.hpp"
#include "topology/units.hpp"

namespace railwright::topology {

// mxfp8 and nvfp4 scale blocks of 32 and 16 values in the matrix units: a part with an 8- or 4-bit
// rate need not have them.
enum class Precision : std::uint8_t { fp32, tf32, bf16, fp16, fp8, fp4, mxfp8, nvfp4 };

// Where a thing was written. Not part of its value: specs that say the same are equal wherever they
// stand.
struct Origin : Place {
  Origin() = default;
  Origin(Place place) : Place(std::move(place)) {}
  bool operator==(const Origin&) const { return true; }
};

// One kind of accelerator, from data/accelerators.csv or written out in the cluster file.
struct AcceleratorKind {
  std::string name;           // "h100-sxm5-80gb"
  std::string calibrated_as;  // whose measured efficiencies hold; "" = those of its own name
  std::string vendor;
  std::map<Precision, FlopRate> peak;  // dense; a precision that is absent is not supported
  Bytes memory;
  Bandwidth memory_bandwidth;
  int compute_units = 0;  // streaming multiprocessors or their like; 0 = unknown
  Watts power;
  Dollars price;                // 0 = unknown
  double dollars_per_hour = 0;  // 0 = unknown
  std::string source, status;   // where the figures come from and how sure they are

  // The subject to look up in a calibration.
  const std::string& subject() const { return calibrated_as.empty() ? name : calibrated_as; }
  bool operator==(const AcceleratorKind&) const = default;
};

enum class Shape : std::uint8_t {
  none,       // no links of this kind
  switched,   // all on one switch (an NVSwitch domain is one)
  full_mesh,  // a link between each two
  ring,
  mesh,           // dimensions, open ends
  torus,          // dimensions, closed ends, optional twist
  fat_tree,       // 2 or 3 tiers; consecutive NICs share a leaf
  rail_fat_tree,  // 2 or 3 tiers; NIC r of every node hangs on leaf r of its unit
  dragonfly,
};

// Ordinals in rings, meshes and tori are row-major: dimension 0 is the slowest. A closed dimension
// of size 2 has both its links between the same two: two lanes.
//
// Closing dimension `wrap` of a torus also shifts dimension `shifts` by `by` positions: one step up
// from the last position of `wrap` leads to its first, `by` further along `shifts`.
struct Twist {
  int wrap = 0, shifts = 0, by = 0;
  bool operator==(const Twist&) const = default;
};

struct NicSpec {
  ClassId pcie;  // accelerator - host bridge - NIC
  int accelerators_per_nic = 1;
  bool operator==(const NicSpec&) const = default;
};

// `count` equal servers. Their accelerators get consecutive ordinals, group after group.
struct NodeGroup {
  std::string name;  // node k is called "<name><k>"
  int count = 1;
  int accelerator_kind = 0;
  int accelerators = 1;
  std::vector<std::string> hosts;  // one per node, or empty: not tied to real machines
  Shape scale_up = Shape::none;    // how the accelerators of one node are joined
  std::optional<ClassId> scale_up_class;
  std::vector<int> scale_up_dimensions;  // ring, mesh, torus
  std::optional<NicSpec> nic;            // absent: accelerators attach to the network themselves
  Origin place;
  bool operator==(const NodeGroup&) const = default;
};

// A network over the NICs (or, where a group has none, the accelerators) of its node groups.
//
// Fat-trees: a leaf has nodes_per_leaf links down and nodes_per_leaf / oversubscription up, one to
// each spine of its pod; all rails of a pod share its spines. With three tiers a spine has as many
// links up as down, each to a core of its own. Switches are called "switch", "leaf7",
// "rail2/leaf0", "spine3" ("pod1/spine3" with three tiers), "core5", "group4/router2"; with more
// than one network the network's name and a slash come first.
struct NetworkSpec {
  std::string name;
  Shape shape = Shape::switched;
  std::vector<std::string> groups;  // node groups it joins; empty = all
  ClassId edge_class;               // NIC - leaf, or the torus links
  ClassId spine_class;              // leaf - spine and above; dragonfly: local links
  ClassId global_class;             // dragonfly: between groups; fat-tree: spine - core
  std::vector<int> dimensions;
  std::vector<Twist> twists;
  int tiers = 2;
  int nodes_per_leaf = 0;       // of a rail unit; ordinary fat-tree: NICs per leaf
  int leaves_per_pod = 0;       // rail fat-tree: units per pod (3 tiers)
  double oversubscription = 1;  // down capacity / up capacity of a leaf
  int routers_per_group = 0, endpoints_per_router = 0, global_links_per_router = 0;  // dragonfly
  bool reduces = false;  // its switches add what comes in and multicast (SHARP)
  Origin place;
  bool operator==(const NetworkSpec&) const = default;
};

struct SwitchSpec {
  std::string name;
  VertexKind kind = VertexKind::packet_switch;
  bool reduces = false;  // as NetworkSpec::reduces
  Origin place;
  bool operator==(const SwitchSpec&) const = default;
};
struct ExplicitLink {
  std::string from, to;  // vertex names
  ClassId link_class;
  int lanes = 1;
  bool duplex = true;
  Origin place;
  bool operator==(const ExplicitLink&) const = default;
};

enum class RoutingMode : std::uint8_t {
  spray,            // equal split, at every vertex, over the lanes of all next hops of shortest
                    // up-down paths
  d_mod_k,          // one path, chosen by the target's ordinal
  ecmp_hash,        // one path, chosen by a seeded hash of the flow: collisions and all
  adaptive,         // spray over the paths that are alive: as spray, for a router knows no faults
  dimension_order,  // torus and mesh: correct dimension 0, then 1, ...; half-way round, both ways
                    // equally; elsewhere shortest_path
  shortest_path,    // one shortest path, ties to the lowest link id
};
enum class CrossRail : std::uint8_t {
  pxn,    // hop inside the node to the accelerator on the target's rail first
  spine,  // cross between rails in the spine
};
struct Routing {
  RoutingMode mode = RoutingMode::spray;
  CrossRail cross_rail = CrossRail::pxn;
  std::uint64_t seed = 1;
  bool operator==(const Routing&) const = default;
};

struct ClusterSpec {
  std::string name;
  std::vector<LinkClass> link_classes;
  std::vector<AcceleratorKind> accelerator_kinds;
  std::vector<NodeGroup> nodes;
  std::vector<NetworkSpec> networks;
  std::vector<SwitchSpec> switches;
  std::vector<ExplicitLink> links;
  Routing routing;
  bool operator==(const ClusterSpec&) const = default;
};

}  // namespace railwright::topology
