// Which links a transfer loads, and by how much. Routing is data of the cluster: computed when
// asked, never stored for all pairs, so a million accelerators cost nothing until they talk.
#pragma once

#include <cstdint>
#include <memory>
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
  const Cluster& cluster() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace railwright::topology
