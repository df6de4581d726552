#include "topology/shapes/switched.hpp"

#include <algorithm>

namespace railwright::topology {

std::int64_t Clos::duplex_links() const {
  return std::int64_t{endpoints} + std::int64_t{leaves()} * uplinks +
         std::int64_t{spines()} * cores_per_group();
}

std::vector<SwitchBlock> Clos::blocks() const {
  std::vector<SwitchBlock> result;
  if (rails == 1)
    result.push_back({"leaf{}", {leaves()}});
  else
    result.push_back({"rail{}/leaf{}", {rails, units()}});
  if (tiers == 2)
    result.push_back({"spine{}", {uplinks}});
  else
    result.push_back({"pod{}/spine{}", {pods(), uplinks}});
  if (tiers == 3) result.push_back({"core{}", {cores()}});
  return result;
}

void Clos::add_links(const LinkSink& sink) const {
  for (int e = 0; e < endpoints; ++e) sink.duplex(e, first_leaf() + leaf_of(e), edge);
  for (int leaf = 0; leaf < leaves(); ++leaf) {
    const int pod = pod_of_unit(leaf % units());
    for (int s = 0; s < uplinks; ++s)
      sink.duplex(first_leaf() + leaf, first_spine() + pod * uplinks + s, spine);
  }
  for (int s = 0; s < spines(); ++s)
    for (int c = 0; c < cores_per_group(); ++c)
      sink.duplex(first_spine() + s, first_core() + s % uplinks * cores_per_group() + c, core);
}

void Clos::next(int site, int target, std::vector<Hop>& hops) const {
  const int leaf = leaf_of(target), pod = pod_of_unit(unit_of(target));
  if (site < first_leaf()) {
    hops.push_back({first_leaf() + leaf_of(site)});
  } else if (site < first_spine()) {
    if (site - first_leaf() == leaf) return hops.push_back({target});
    const int first = first_spine() + pod_of_unit((site - first_leaf()) % units()) * uplinks;
    for (int s = 0; s < uplinks; ++s) hops.push_back({first + s});
  } else if (site < first_core()) {
    const int index = site - first_spine();
    if (index / uplinks == pod) return hops.push_back({first_leaf() + leaf});
    const int first = first_core() + index % uplinks * cores_per_group();
    for (int c = 0; c < cores_per_group(); ++c) hops.push_back({first + c});
  } else {
    const int group = (site - first_core()) / cores_per_group();
    hops.push_back({first_spine() + pod * uplinks + group});
  }
}

std::uint64_t Clos::key(int site, int target) const {
  const int member = target / rails;
  if (site < first_spine()) return static_cast<std::uint64_t>(member);
  return static_cast<std::uint64_t>(member / uplinks * rails + target % rails);
}

int Dragonfly::groups() const {
  const int in_group = routers_per_group * endpoints_per_router;
  return (endpoints + in_group - 1) / in_group;
}

int Dragonfly::links_per_pair() const {
  return groups() == 1 ? 0 : routers_per_group * globals_per_router / (groups() - 1);
}

std::int64_t Dragonfly::duplex_links() const {
  const std::int64_t local_links = std::int64_t{routers()} * (routers_per_group - 1) / 2;
  return endpoints + local_links + std::int64_t{groups()} * (groups() - 1) / 2 * links_per_pair();
}

std::vector<SwitchBlock> Dragonfly::blocks() const {
  return {{"group{}/router{}", {groups(), routers_per_group}}};
}

// Global port p of a group sits on router p / globals_per_router. Port copy * (g - 1) + o leads to
// the group o + 1 places further round, so both ends agree on who uses which port.
int Dragonfly::gateway(int from, int to, int copy) const {
  const int offset = (to - from - 1 + groups()) % groups();
  const int port = copy * (groups() - 1) + offset;
  return from * routers_per_group + port / globals_per_router;
}

void Dragonfly::add_links(const LinkSink& sink) const {
  for (int e = 0; e < endpoints; ++e) sink.duplex(e, endpoints + e / endpoints_per_router, edge);
  for (int a = 0; a < routers(); ++a)
    for (int b = a + 1; b % routers_per_group != 0; ++b)
      sink.duplex(endpoints + a, endpoints + b, local);
  for (int from = 0; from < groups(); ++from)
    for (int to = from + 1; to < groups(); ++to)
      for (int copy = 0; copy < links_per_pair(); ++copy)
        sink.duplex(endpoints + gateway(from, to, copy), endpoints + gateway(to, from, copy),
                    global);
}

void Dragonfly::next(int site, int target, std::vector<Hop>& hops) const {
  const int target_router = target / endpoints_per_router;
  if (site < endpoints) return hops.push_back({endpoints + site / endpoints_per_router});
  const int router = site - endpoints;
  if (router == target_router) return hops.push_back({target});
  if (router / routers_per_group == target_router / routers_per_group)
    return hops.push_back({endpoints + target_router});
  towards_group(router, target_router, hops);
}

void Dragonfly::towards_group(int router, int target_router, std::vector<Hop>& hops) const {
  const int from = router / routers_per_group, to = target_router / routers_per_group;
  int shortest = 4;
  for (int copy = 0; copy < links_per_pair(); ++copy) {
    const int out = gateway(from, to, copy), in = gateway(to, from, copy);
    const int length = 1 + (out != router) + (in != target_router);
    if (length > shortest) continue;
    if (length < shortest) hops.clear();
    shortest = length;
    const int site = endpoints + (out == router ? in : out);
    const auto known =
        std::find_if(hops.begin(), hops.end(), [site](const Hop& hop) { return hop.site == site; });
    if (known == hops.end())
      hops.push_back({site});
    else if (out == router)
      ++known->weight;  // another lane of the same global link
  }
}

}  // namespace railwright::topology
