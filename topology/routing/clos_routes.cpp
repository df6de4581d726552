#include "topology/routing/clos_routes.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::topology {

ClosRoutes::ClosRoutes(const Graph& graph, const NetworkLayout& network, bool alone,
                       RoutingMode mode, int first_bundle)
    : graph_(graph),
      clos_(std::get<Clos>(network.fabric)),
      placement_(network.placement),
      alone_(alone),
      mode_(mode),
      sprays_(mode == RoutingMode::spray || mode == RoutingMode::adaptive),
      first_bundle_(first_bundle),
      units_(clos_.units()),
      leaves_(clos_.leaves()),
      pods_(clos_.pods()),
      cores_per_group_(clos_.cores_per_group()),
      cores_(clos_.cores()),
      first_leaf_(clos_.first_leaf()),
      first_spine_(clos_.first_spine()),
      first_core_(clos_.first_core()) {}

int ClosRoutes::units_in(int pod) const {
  if (clos_.tiers == 2) return units_;
  return std::min(clos_.units_per_pod, units_ - pod * clos_.units_per_pod);
}

int ClosRoutes::leaf_up(int leaf, int spine) const {
  return end_link(switch_at(first_leaf_ + leaf)) - clos_.uplinks + spine;
}

int ClosRoutes::leaf_down(int pod, int spine, int leaf) const {
  const int rail = leaf / units_;
  const int first_unit = clos_.tiers == 2 ? 0 : pod * clos_.units_per_pod;
  const VertexId from = switch_at(first_spine_ + pod * clos_.uplinks + spine);
  return first_link(from) + rail * units_in(pod) + unit_of_leaf(leaf) - first_unit;
}

int ClosRoutes::core_up(int pod, int spine, int core) const {
  const VertexId from = switch_at(first_spine_ + pod * clos_.uplinks + spine);
  return end_link(from) - cores_per_group_ + core;
}

int ClosRoutes::core_down(int spine, int core, int pod) const {
  return first_link(switch_at(first_core_ + spine * cores_per_group_ + core)) + pod;
}

// As Walk chooses among the candidates of Clos::next.
int ClosRoutes::chosen(int site, int to, int count, const Flow& flow) const {
  if (count < 2) return 0;
  const auto candidates = static_cast<std::uint64_t>(count);
  if (mode_ == RoutingMode::d_mod_k) return static_cast<int>(clos_.key(site, to) % candidates);
  if (mode_ != RoutingMode::ecmp_hash) return 0;
  return static_cast<int>(hash_of(flow, switch_at(site)) % candidates);
}

void ClosRoutes::add(int from, int to, const Flow& flow, std::vector<BundleShare>& parts) const {
  const int from_leaf = leaf_of(from), to_leaf = leaf_of(to);
  // The leaf of its only network is the last neighbour of an endpoint.
  const VertexId endpoint = placement_.vertex_of(from);
  const int up = alone_ ? end_link(endpoint) - 1
                        : graph_.link_between(endpoint, switch_at(first_leaf_ + from_leaf))->index;
  parts.push_back({{up}, 1});
  if (from_leaf != to_leaf)
    sprays_ ? spray(from_leaf, to_leaf, parts) : one_path(from_leaf, to_leaf, to, flow, parts);
  const int member = to / clos_.rails - clos_.unit_of(to) * clos_.members_per_unit;
  parts.push_back({{first_link(switch_at(first_leaf_ + to_leaf)) + member}, 1});
}

void ClosRoutes::spray(int from_leaf, int to_leaf, std::vector<BundleShare>& parts) const {
  const int from_pod = pod_of_leaf(from_leaf), to_pod = pod_of_leaf(to_leaf);
  parts.push_back(whole(Stretch::leaf_up, from_leaf));
  if (from_pod != to_pod) {
    parts.push_back(whole(Stretch::pod_up, from_pod));
    parts.push_back(whole(Stretch::pod_down, to_pod));
  }
  parts.push_back(whole(Stretch::leaf_down, to_leaf));
}

void ClosRoutes::one_path(int from_leaf, int to_leaf, int to, const Flow& flow,
                          std::vector<BundleShare>& parts) const {
  const int from_pod = pod_of_leaf(from_leaf), to_pod = pod_of_leaf(to_leaf);
  const int spine = chosen(first_leaf_ + from_leaf, to, clos_.uplinks, flow);
  parts.push_back({{leaf_up(from_leaf, spine)}, 1});
  if (from_pod != to_pod) {
    const int site = first_spine_ + from_pod * clos_.uplinks + spine;
    const int core = chosen(site, to, cores_per_group_, flow);
    parts.push_back({{core_up(from_pod, spine, core)}, 1});
    parts.push_back({{core_down(spine, core, to_pod)}, 1});
  }
  parts.push_back({{leaf_down(to_pod, spine, to_leaf)}, 1});
}

int ClosRoutes::end_bundle() const {
  if (!sprays_) return first_bundle_;
  return first_bundle_ + 2 * leaves_ + (clos_.tiers == 3 ? 2 * pods_ : 0);
}

ClosRoutes::Place ClosRoutes::place_of(BundleId bundle) const {
  int index = bundle.index - first_bundle_;
  assert(index >= 0 && bundle.index < end_bundle());
  if (index < 2 * leaves_)
    return {index < leaves_ ? Stretch::leaf_up : Stretch::leaf_down, index % leaves_};
  index -= 2 * leaves_;
  return {index < pods_ ? Stretch::pod_up : Stretch::pod_down, index % pods_};
}

BundleShare ClosRoutes::whole(Stretch stretch, int index) const {
  const int before[] = {0, leaves_, 2 * leaves_, 2 * leaves_ + pods_};
  const bool of_leaf = stretch == Stretch::leaf_up || stretch == Stretch::leaf_down;
  const int links = of_leaf ? clos_.uplinks : cores_;
  return {{first_bundle_ + before[static_cast<int>(stretch)] + index}, 1.0 / links};
}

int ClosRoutes::size_of(BundleId bundle) const {
  return is_of_leaf(bundle) ? clos_.uplinks : cores_;
}

Seconds ClosRoutes::latency_of(BundleId bundle) const {
  return graph_.classes[(is_of_leaf(bundle) ? clos_.spine : clos_.core).index].latency;
}

LinkId ClosRoutes::first_of(BundleId bundle) const {
  const auto [stretch, index] = place_of(bundle);
  switch (stretch) {
    case Stretch::leaf_up:
      return {leaf_up(index, 0)};
    case Stretch::leaf_down:
      return {leaf_down(pod_of_leaf(index), 0, index)};
    case Stretch::pod_up:
      return {core_up(index, 0, 0)};
    case Stretch::pod_down:
      return {core_down(0, 0, index)};
  }
  return {};
}

void ClosRoutes::append_links_of(BundleId bundle, std::vector<LinkId>& links) const {
  const auto [stretch, index] = place_of(bundle);
  for (int spine = 0; spine < clos_.uplinks; ++spine) {
    if (stretch == Stretch::leaf_up) links.push_back({leaf_up(index, spine)});
    if (stretch == Stretch::leaf_down)
      links.push_back({leaf_down(pod_of_leaf(index), spine, index)});
    for (int core = 0; core < cores_per_group_; ++core) {
      if (stretch == Stretch::pod_up) links.push_back({core_up(index, spine, core)});
      if (stretch == Stretch::pod_down) links.push_back({core_down(spine, core, index)});
    }
  }
}

}  // namespace railwright::topology
