// Which sets of accelerators lie alike, and what of the graph takes whose place. Internal to the
// router.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "topology/routing.hpp"
#include "topology/routing/clos_routes.hpp"

namespace railwright::topology {

// A move carries all nodes of a set on by as many nodes of their group. Inside a node on one switch
// that is all. Between nodes a way under spray depends only on which of them share a leaf, and
// which a pod (ClosRoutes::spray), and loads what belongs to the nodes, the leaves and the pods of
// its two ends: where all leaves move on by as many units, and all pods by as many pods, every way
// among the set goes where its ends go, link by link and bundle by bundle, with the same shares and
// links of the same classes. By modes that choose one path (but by hash) the same holds of moves by
// whole periods.
class Moves {
 public:
  // All must outlive it. `clos` by network; `closed_form`: all links are those of shapes.
  Moves(const Cluster& cluster, const Layout& layout,
        const std::vector<std::optional<ClosRoutes>>& clos, bool closed_form)
      : cluster_(cluster),
        layout_(layout),
        clos_(clos),
        closed_form_(closed_form),
        period_(find_period()),
        one_(shape_of_period()) {}

  // These as of the router, which knows of dead links besides.
  int period() const { return period_; }
  int period_of(LinkId link) const;
  Move by_periods(int count) const;
  Move::Shift shift_of_period() const { return one_.shift; }

  std::optional<Move> between(std::span<const AcceleratorId> from,
                              std::span<const AcceleratorId> to) const;
  LinkId moved(LinkId link, const Move& move) const;

 private:
  struct Place {
    int node = 0, local = 0;  // in the group
  };
  Place place_of(AcceleratorId accelerator, const GroupLayout& group) const;
  // What is in a period, and where the switches of the only network are.
  struct OnePeriod {
    int nodes = 0;
    Move::Shift shift;
    int first_switch = 0, units = 0, leaves = 0, spines = 0, switches = 0, spines_of_pod = 0;
  };
  int find_period() const;
  OnePeriod shape_of_period() const;
  int period_of(VertexId vertex) const;  // -1: belongs to none
  bool sprays() const;
  std::optional<Move> over_networks(std::span<const AcceleratorId> from, Move move) const;
  VertexId moved(VertexId vertex, const Move& move) const;

  const Cluster& cluster_;
  const Layout& layout_;
  const std::vector<std::optional<ClosRoutes>>& clos_;
  bool closed_form_;
  int period_;
  OnePeriod one_;
};

}  // namespace railwright::topology
