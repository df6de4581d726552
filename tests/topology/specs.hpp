// Cluster specs written by hand, one of every shape, for the tests of this folder.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::topology {

// Classes 0 nvlink 450 GB/s, 1 pcie 63 GB/s, 2 rail 50 GB/s, 3 spine 50 GB/s, 4 core 50 GB/s.
inline constexpr ClassId nvlink{0}, pcie{1}, rail{2}, spine{3}, core{4};

inline LinkClass link_class(std::string name, double gigabytes, double nanoseconds_) {
  LinkClass made;
  made.name = std::move(name);
  made.capacity = gigabytes_per_second(gigabytes);
  made.latency = nanoseconds(nanoseconds_);
  made.idle_power = Watts{2};
  made.cost = Dollars{10};
  return made;
}

inline ClusterSpec bare_spec() {
  ClusterSpec spec;
  spec.name = "test";
  spec.link_classes = {link_class("nvlink", 450, 250), link_class("pcie", 63, 500),
                       link_class("rail", 50, 600), link_class("spine", 50, 700),
                       link_class("core", 50, 800)};
  AcceleratorKind kind;
  kind.name = "h100";
  kind.power = Watts{700};
  kind.price = Dollars{25000};
  spec.accelerator_kinds = {kind};
  return spec;
}

inline NodeGroup bare_nodes(int count, int accelerators) {
  NodeGroup group;
  group.name = "node";
  group.count = count;
  group.accelerators = accelerators;
  return group;
}

// NVSwitch inside, a NIC for every `sharing` accelerators.
inline NodeGroup dgx_nodes(int count, int accelerators = 8, int sharing = 1) {
  NodeGroup group = bare_nodes(count, accelerators);
  group.scale_up = Shape::switched;
  group.scale_up_class = nvlink;
  group.nic = NicSpec{pcie, sharing};
  return group;
}

inline NetworkSpec network_of(Shape shape) {
  NetworkSpec network;
  network.name = "net";
  network.shape = shape;
  network.edge_class = rail;
  network.spine_class = spine;
  network.global_class = core;
  return network;
}

inline NetworkSpec fat_tree(Shape shape, int tiers, int per_leaf, int per_pod,
                            double oversubscription = 1) {
  NetworkSpec network = network_of(shape);
  network.tiers = tiers;
  network.nodes_per_leaf = per_leaf;
  network.leaves_per_pod = per_pod;
  network.oversubscription = oversubscription;
  return network;
}

inline ClusterSpec cluster_of(NodeGroup nodes, NetworkSpec network) {
  ClusterSpec spec = bare_spec();
  spec.nodes = {std::move(nodes)};
  spec.networks = {std::move(network)};
  return spec;
}

inline ClusterSpec grid_spec(Shape shape, std::vector<int> dimensions,
                             std::vector<Twist> twists = {}) {
  int nodes = 1;
  for (const int d : dimensions) nodes *= d;
  NetworkSpec network = network_of(shape);
  network.dimensions = std::move(dimensions);
  network.twists = std::move(twists);
  return cluster_of(bare_nodes(nodes, 1), network);
}

inline ClusterSpec node_spec(Shape scale_up, int accelerators, std::vector<int> dimensions = {}) {
  ClusterSpec spec = bare_spec();
  NodeGroup group = bare_nodes(1, accelerators);
  group.scale_up = scale_up;
  group.scale_up_class = nvlink;
  group.scale_up_dimensions = std::move(dimensions);
  spec.nodes = {group};
  return spec;
}

inline ClusterSpec dragonfly_spec(int nodes, int routers, int endpoints, int globals) {
  NetworkSpec network = network_of(Shape::dragonfly);
  network.routers_per_group = routers;
  network.endpoints_per_router = endpoints;
  network.global_links_per_router = globals;
  return cluster_of(bare_nodes(nodes, 1), network);
}

inline ExplicitLink explicit_link(std::string from, std::string to, ClassId link, int lanes = 1) {
  ExplicitLink made;
  made.from = std::move(from);
  made.to = std::move(to);
  made.link_class = link;
  made.lanes = lanes;
  return made;
}

// Two servers whose NICs hang on two switches written out one by one, one of them wider.
inline ClusterSpec explicit_spec() {
  ClusterSpec spec = bare_spec();
  spec.nodes = {dgx_nodes(2, 4)};
  spec.switches = {{"blue", VertexKind::packet_switch, false, {}},
                   {"red", VertexKind::packet_switch, false, {}},
                   {"top", VertexKind::packet_switch, false, {}},
                   {"top-2", VertexKind::packet_switch, false, {}}};
  for (const std::string node : {"node0", "node1"})
    for (int n = 0; n < 4; ++n)
      spec.links.push_back(
          explicit_link(node + "/nic" + std::to_string(n), node == "node0" ? "blue" : "red", rail));
  for (const std::string leaf : {"blue", "red"}) {
    spec.links.push_back(explicit_link(leaf, "top", spine, 2));
    spec.links.push_back(explicit_link(leaf, "top-2", spine));
  }
  return spec;
}

// A rail fat-tree of NVSwitch nodes, a torus of bare chips, and a link between the two worlds.
inline ClusterSpec mixed_spec() {
  ClusterSpec spec = cluster_of(dgx_nodes(4, 4), fat_tree(Shape::rail_fat_tree, 2, 2, 0));
  NodeGroup chips = bare_nodes(8, 1);
  chips.name = "chip";
  NetworkSpec torus = network_of(Shape::torus);
  torus.name = "ici";
  torus.dimensions = {2, 4};
  torus.groups = {"chip"};
  spec.networks[0].groups = {"node"};
  spec.nodes.push_back(chips);
  spec.networks.push_back(torus);
  spec.links = {explicit_link("net/spine0", "chip0/gpu0", core),
                explicit_link("net/spine1", "chip4/gpu0", core)};
  return spec;
}

// One of every shape, small enough to look at all pairs.
inline std::map<std::string, ClusterSpec> all_shapes() {
  std::map<std::string, ClusterSpec> specs;
  specs["nvswitch node"] = node_spec(Shape::switched, 8);
  specs["full mesh node"] = node_spec(Shape::full_mesh, 8);
  specs["ring node"] = node_spec(Shape::ring, 5);
  specs["mesh node"] = node_spec(Shape::mesh, 12, {3, 4});
  specs["torus node"] = node_spec(Shape::torus, 12, {3, 2, 2});
  specs["switched"] = cluster_of(dgx_nodes(3, 4), network_of(Shape::switched));
  specs["shared nics"] = cluster_of(dgx_nodes(3, 4, 2), network_of(Shape::switched));
  NodeGroup loose = dgx_nodes(3, 4, 2);
  loose.scale_up = Shape::none;
  specs["shared nics, no scale-up"] = cluster_of(loose, fat_tree(Shape::fat_tree, 2, 2, 0));
  specs["ring"] = grid_spec(Shape::ring, {7});
  specs["mesh"] = grid_spec(Shape::mesh, {3, 5});
  specs["torus"] = grid_spec(Shape::torus, {4, 3, 2});
  specs["twisted torus"] = grid_spec(Shape::torus, {2, 4, 4}, {{0, 1, 2}, {0, 2, 2}});
  specs["full mesh"] = cluster_of(dgx_nodes(6, 2, 2), network_of(Shape::full_mesh));
  specs["fat-tree"] = cluster_of(dgx_nodes(6, 4), fat_tree(Shape::fat_tree, 2, 4, 0, 2));
  specs["fat-tree, 3 tiers"] = cluster_of(bare_nodes(22, 1), fat_tree(Shape::fat_tree, 3, 3, 2));
  specs["rail fat-tree"] = cluster_of(dgx_nodes(6, 4), fat_tree(Shape::rail_fat_tree, 2, 2, 0));
  specs["rail fat-tree, 3 tiers"] =
      cluster_of(dgx_nodes(11, 4), fat_tree(Shape::rail_fat_tree, 3, 2, 2, 2));
  ClusterSpec crossing = specs["rail fat-tree, 3 tiers"];
  crossing.routing.cross_rail = CrossRail::spine;
  specs["rail fat-tree, rails cross in the spine"] = crossing;
  specs["dragonfly"] = dragonfly_spec(34, 3, 2, 2);
  specs["explicit"] = explicit_spec();
  specs["mixed"] = mixed_spec();
  return specs;
}

// Fails the test, with the errors, when the spec is wrong.
inline Cluster built(ClusterSpec spec) {
  auto cluster = build_cluster(std::move(spec));
  if (!cluster) throw std::runtime_error(to_string(cluster.error()));
  return std::move(*cluster);
}

}  // namespace railwright::topology
