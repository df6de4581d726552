// Routes through a folded Clos network in closed form: every link is found by counting, none is
// searched for.
#pragma once

#include "topology/routing/walk.hpp"

namespace railwright::topology {

// Under `spray` and `adaptive` its bundles are, in this order: the uplinks of each leaf, the links
// into each leaf from its spines, and with three tiers those from the spines of each pod up to all
// their cores and down again. A path takes one link of each on its way, whichever it is.
class ClosRoutes {
 public:
  // All links are those of shapes. `network` holds a Clos; `alone`: there is no other network.
  ClosRoutes(const Graph& graph, const NetworkLayout& network, bool alone, RoutingMode mode,
             int first_bundle);

  // From endpoint to another endpoint.
  void add(int from, int to, const Flow& flow, std::vector<BundleShare>& parts) const;
  // Numbers first_bundle() .. end_bundle()-1; none where a flow takes one path.
  int first_bundle() const { return first_bundle_; }
  int end_bundle() const;
  int size_of(BundleId bundle) const;
  // Of the bundle as a whole, which a path crosses once.
  Seconds latency_of(BundleId bundle) const;
  LinkId first_of(BundleId bundle) const;
  void append_links_of(BundleId bundle, std::vector<LinkId>& links) const;
  // The same of a leaf or pod further on.
  BundleId moved(BundleId bundle, Move::Shift shift) const {
    return {bundle.index + (is_of_leaf(bundle) ? shift.units : shift.pods)};
  }
  // Where a period is so many units and pods.
  int period_of(BundleId bundle, Move::Shift of_period) const {
    const int place = (bundle.index - first_bundle_) % leaves_;
    return is_of_leaf(bundle) ? unit_of_leaf(place) / of_period.units
                              : pod_of(bundle) / of_period.pods;
  }

 private:
  enum class Stretch : std::uint8_t { leaf_up, leaf_down, pod_up, pod_down };
  struct Place {
    Stretch stretch;
    int index;  // of the leaf or pod
  };
  Place place_of(BundleId bundle) const;
  bool is_of_leaf(BundleId bundle) const { return bundle.index - first_bundle_ < 2 * leaves_; }
  int pod_of(BundleId bundle) const { return place_of(bundle).index; }
  BundleShare whole(Stretch stretch, int index) const;
  void spray(int from_leaf, int to_leaf, std::vector<BundleShare>& parts) const;
  void one_path(int from_leaf, int to_leaf, int to, const Flow& flow,
                std::vector<BundleShare>& parts) const;
  int chosen(int site, int to, int count, const Flow& flow) const;

  VertexId switch_at(int site) const { return placement_.vertex_of(site); }
  int first_link(VertexId v) const { return graph_.first_link[v.index]; }
  int end_link(VertexId v) const { return graph_.first_link[v.index + 1]; }
  int unit_of_leaf(int leaf) const { return leaf % units_; }
  int leaf_of(int endpoint) const {
    return endpoint % clos_.rails * units_ + clos_.unit_of(endpoint);
  }
  int pod_of_leaf(int leaf) const { return clos_.pod_of_unit(unit_of_leaf(leaf)); }
  int units_in(int pod) const;
  // Links that leave a vertex are sorted by target: down before up, each in the order of the shape.
  int leaf_up(int leaf, int spine) const;  // to the spine-th of its pod
  int leaf_down(int pod, int spine, int leaf) const;
  int core_up(int pod, int spine, int core) const;  // to the core-th of the spine's group
  int core_down(int spine, int core, int pod) const;

  const Graph& graph_;
  const Clos& clos_;
  const Placement& placement_;
  bool alone_;
  RoutingMode mode_;
  bool sprays_;
  int first_bundle_;
  // Of the shape, which divides to know them.
  int units_, leaves_, pods_, cores_per_group_, cores_, first_leaf_, first_spine_, first_core_;
};

}  // namespace railwright::topology
