#include "topology/routing/walk.hpp"

#include <algorithm>
#include <cassert>

#include "topology/mixed.hpp"

namespace railwright::topology {

std::uint64_t hash_of(const Flow& flow, VertexId at) {
  std::uint64_t hash = mixed(flow.seed);
  for (const std::uint64_t word : {flow.source, flow.target, flow.number})
    hash = mixed(hash ^ word);
  return mixed(hash ^ static_cast<std::uint64_t>(at.index));
}

void Walk::step(VertexId from, VertexId to, double share, std::vector<BundleShare>& parts) const {
  const auto link = graph_.link_between(from, to);
  assert(link && "a route follows links");
  parts.push_back({{link->index}, share});
}

std::size_t Walk::chosen(const Space& space, int position) const {
  if (mode_ == RoutingMode::d_mod_k) return space.key(position) % hops_.size();
  if (mode_ == RoutingMode::ecmp_hash)
    return hash_of(flow_, space.vertex_of(position)) % hops_.size();
  // Links of a vertex are sorted by target, so the lowest vertex is the lowest link.
  const auto lowest = std::min_element(hops_.begin(), hops_.end(), [&](const Hop& a, const Hop& b) {
    return space.vertex_of(a.site) < space.vertex_of(b.site);
  });
  return static_cast<std::size_t>(lowest - hops_.begin());
}

void Walk::keep_chosen(const Space& space, int position) {
  if (hops_.size() < 2 || mode_ == RoutingMode::spray || mode_ == RoutingMode::adaptive) return;
  // Half-way round a closed dimension both directions are minimal, and both are used.
  if (mode_ == RoutingMode::dimension_order && hops_.front().dimension >= 0) {
    const int first = hops_.front().dimension;
    std::erase_if(hops_, [first](const Hop& hop) { return hop.dimension != first; });
    return;
  }
  const Hop hop = hops_[chosen(space, position)];
  hops_.assign(1, hop);
}

void Walk::merge(std::vector<Part>& parts) const {
  if (parts.size() < 2) return;
  std::sort(parts.begin(), parts.end(),
            [](const Part& a, const Part& b) { return a.position < b.position; });
  std::size_t kept = 0;
  for (std::size_t i = 1; i < parts.size(); ++i)
    if (parts[i].position == parts[kept].position)
      parts[kept].share = std::min(1.0, parts[kept].share + parts[i].share);  // sums round
    else
      parts[++kept] = parts[i];
  parts.resize(kept + 1);
}

// All candidates are one hop nearer, so the parts of a layer are equally far and meet in the next.
void Walk::go(const Space& space, int from, int to, std::vector<BundleShare>& route) {
  std::vector<Part> layer{{from, 1.0}}, following;
  while (layer.size() > 1 || layer.front().position != to) {
    following.clear();
    for (const Part& part : layer) {
      hops_.clear();
      space.next(part.position, hops_);
      keep_chosen(space, part.position);
      double weight = 0;
      for (const Hop& hop : hops_) weight += hop.weight;
      for (const Hop& hop : hops_) {
        const double share = part.share * (hop.weight / weight);
        step(space.vertex_of(part.position), space.vertex_of(hop.site), share, route);
        following.push_back({hop.site, share});
      }
    }
    merge(following);
    layer.swap(following);
  }
}

}  // namespace railwright::topology
