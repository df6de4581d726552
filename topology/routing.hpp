// Which links a transfer loads, and by how much. Routing is data of the cluster: computed when
// asked, never stored for all pairs, so a million accelerators cost nothing until they talk.
//
// Under `spray` a route in a large fat-tree crosses thousands of links, but it loads all uplinks of
// a leaf alike, and so does every other route: they form a bundle. A trace tells a route in
// bundles, of which there are about six.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::topology {

// A transfer of n bytes puts share x n bytes on this link. Under `spray` shares are fractions.
struct LinkShare {
  LinkId link;
  double share = 1;
  bool operator==(const LinkShare&) const = default;
};

struct Route {
  std::vector<LinkShare> links;  // ascending by link id, no link twice, shares in (0, 1]
  Seconds latency;               // mean over the paths, weighted by their shares
  bool empty() const { return links.empty(); }
  bool operator==(const Route&) const = default;
};

// Links that routes load with one and the same share each. Bundles 0 .. links-1 are the links on
// their own, by their ids; those from there on hold several: the uplinks of a leaf, the links into
// it from its spines, those of a pod to its cores and back. Who goes round a dead link, or a way of
// its own, may still load single ones of them.
struct BundleId {
  int index = -1;
  auto operator<=>(const BundleId&) const = default;
};
struct BundleShare {
  BundleId bundle;
  double share = 1;  // on each of its links
  bool operator==(const BundleShare&) const = default;
};
// The same as a route: what each bundle holds, with its share.
struct Trace {
  std::vector<BundleShare> parts;  // in no order; no link in two of them
  Seconds latency;
};

// Accelerators that lie to each other as others do: `nodes` further in their group of nodes, with
// every leaf so many units and every pod so many pods further, by network.
struct Move {
  struct Shift {
    int units = 0, pods = 0;
    bool operator==(const Shift&) const = default;
  };
  int group = 0, nodes = 0;
  std::vector<Shift> networks;
};

// Computes routes of one cluster; the cluster must outlive the router. Not thread-safe: one router
// per thread.
//
// Two accelerators of one node with scale-up links use those; else the first network that joins
// both, in closed form. Where links of the file join what no shape joined, and between groups
// without a common network, breadth-first distances to the target are kept instead (the latest
// targets, within 256 MiB). Shares follow the lanes of a shape, and in the latter case those of the
// file too; modes of one path choose among neighbours, whatever their lanes. Endpoints of a ring,
// mesh or torus forward; other servers do not, except the proxy of PXN, and where nothing else
// leads to the target.
//
// Links may be dead: a route that would cross one goes the shortest ways over live links instead,
// split or chosen by the mode as before; only where nothing else is left do accelerators of other
// hosts forward. Routes that cross none stay as they are.
class Router {
 public:
  explicit Router(const Cluster& cluster, const std::vector<LinkId>& dead = {});
  ~Router();
  Router(Router&&) noexcept;

  // From accelerator to accelerator; empty when they are the same or nothing joins them. `flow`
  // tells flows between one pair apart (channels): it enters the hash of ecmp_hash only.
  Route between(AcceleratorId source, AcceleratorId target, std::uint64_t flow = 0) const;
  // The same route in bundles. Replaces what `trace` holds and keeps its memory.
  void trace(AcceleratorId source, AcceleratorId target, std::uint64_t flow, Trace& trace) const;
  int bundles() const;                  // single links included
  bool is_link(BundleId bundle) const;  // that is, below the number of links
  int size_of(BundleId bundle) const;
  LinkId first_of(BundleId bundle) const;  // one of its links; all are of one class
  void append_links_of(BundleId bundle, std::vector<LinkId>& links) const;
  const Cluster& cluster() const;

  // The move that carries each of `from` onto the one at its place in `to`, when every way among
  // the former then goes where its ends go, whatever the flow: the bundles of one are the moved
  // ones of the other, with equal shares and latency, and links of equal classes. Nothing where
  // that is not known: with dead links, between nodes by any mode but spray and adaptive on Clos
  // networks of shapes alone. Both as long, and not empty; what way an accelerator takes to itself
  // is none.
  std::optional<Move> move_between(std::span<const AcceleratorId> from,
                                   std::span<const AcceleratorId> to) const;
  // Of a bundle on a way among the accelerators that move.
  BundleId moved(BundleId bundle, const Move& move) const;

  // Accelerators so far apart are alike: moving both ends of routes by this many, wherever these
  // are, is a move as above. 0: nothing is known to be alike. Told of clusters of equal nodes on
  // one Clos of the file, by any mode but ecmp_hash.
  int period() const;
  // With a period, a way leads over links that belong to the period of its source, then over links
  // that belong to the period of its target; which ones depends on where the two lie in their
  // periods, and on whether these are one. Of a bundle on such a way: where it belongs to, counted
  // from 0, and what belongs to another period as this one does to its own.
  int period_of(BundleId bundle) const;
  BundleId in_period(BundleId bundle, int period) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace railwright::topology
