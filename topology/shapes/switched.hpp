// Shapes with several tiers or groups of switches: fat-trees, ordinary and rail-optimised, and the
// dragonfly.
#pragma once

#include <cstdint>
#include <vector>

#include "topology/shapes/placement.hpp"
#include "topology/spec.hpp"

namespace railwright::topology {

// A folded Clos network of two or three tiers. Both fat-trees are this shape; the ordinary one has
// a single rail.
//
// Endpoint e is rail e % rails of member e / rails (a node). `members_per_unit` consecutive members
// are a unit; leaf (r, u) takes rail r of the members of unit u, and has `uplinks` links up, one to
// each spine of its pod, whatever the rail: crossing rails needs no core. Two tiers: one pod.
// Three tiers: spine s of every pod has as many links up as down, one to each core of group s, so
// nothing above the leaves is oversubscribed.
struct Clos {
  int endpoints = 0;
  int rails = 1;
  int members_per_unit = 1;
  int uplinks = 1;  // of a leaf = spines of a pod
  int tiers = 2;
  int units_per_pod = 0;  // three tiers only
  ClassId edge, spine, core;

  int members() const { return endpoints / rails; }
  int units() const { return (members() + members_per_unit - 1) / members_per_unit; }
  int leaves() const { return rails * units(); }
  int pods() const { return tiers == 2 ? 1 : (units() + units_per_pod - 1) / units_per_pod; }
  int spines() const { return pods() * uplinks; }
  int cores_per_group() const { return tiers == 2 ? 0 : rails * units_per_pod; }
  int cores() const { return uplinks * cores_per_group(); }

  int switches() const { return leaves() + spines() + cores(); }
  std::int64_t duplex_links() const;
  std::vector<SwitchBlock> blocks() const;
  void add_links(const LinkSink& sink) const;
  void next(int site, int target, std::vector<Hop>& hops) const;
  // d_mod_k: a shift along a rail, and all rails at once, load every link up at most once, where
  // nothing is oversubscribed; a shift that wraps round the end only with full leaves and pods.
  std::uint64_t key(int site, int target) const;

  int unit_of(int endpoint) const { return endpoint / rails / members_per_unit; }
  int leaf_of(int endpoint) const { return endpoint % rails * units() + unit_of(endpoint); }
  int pod_of_unit(int unit) const { return tiers == 2 ? 0 : unit / units_per_pod; }
  int first_leaf() const { return endpoints; }
  int first_spine() const { return first_leaf() + leaves(); }
  int first_core() const { return first_spine() + spines(); }
};

// Groups of routers, a full mesh inside each, and global links spread evenly over the other
// groups: with g groups every pair of them has floor(routers x globals / (g - 1)) links.
struct Dragonfly {
  int endpoints = 0;
  int routers_per_group = 1;
  int endpoints_per_router = 1;
  int globals_per_router = 1;
  ClassId edge, local, global;

  int groups() const;
  int links_per_pair() const;
  int routers() const { return groups() * routers_per_group; }
  int switches() const { return routers(); }
  std::int64_t duplex_links() const;
  std::vector<SwitchBlock> blocks() const;
  void add_links(const LinkSink& sink) const;
  // Minimal: local, global, local.
  void next(int site, int target, std::vector<Hop>& hops) const;
  std::uint64_t key(int, int target) const { return static_cast<std::uint64_t>(target); }
  // The router of group `from` that holds link `copy` to group `to`.
  int gateway(int from, int to, int copy) const;

 private:
  void towards_group(int router, int target_router, std::vector<Hop>& hops) const;
};

}  // namespace railwright::topology
