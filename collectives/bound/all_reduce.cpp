#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "collectives/bound/ranks.hpp"

namespace railwright::collectives {

namespace {

constexpr Direction directions[] = {Direction::forward, Direction::reversed};

// A division of the ranks, as vertices.
struct Partition {
  std::vector<std::vector<int>> parts;
  std::string name;
};

// What can leave (or, reversed, enter) the parts of partitions; many share parts.
class PartCuts {
 public:
  PartCuts(Ranks& ranks, Direction direction) : ranks_(ranks), direction_(direction) {}

  struct Outlet {
    Amount capacity;
    std::vector<topology::LinkId> links;
  };
  const Outlet& of(const std::vector<int>& part) {
    const auto found = outlets_.find(part);
    if (found != outlets_.end()) return found->second;
    FlowNetwork& network = ranks_.network(direction_);
    const Cut cut = cut_between(network, part, ranks_.others(part));
    const Outlet outlet{cut.capacity, ranks_.links_leaving(cut.inside, direction_)};
    return outlets_.emplace(part, outlet).first->second;
  }

 private:
  Ranks& ranks_;
  Direction direction_;
  std::map<std::vector<int>, Outlet> outlets_;
};

// Every element needs 2 (k-1) messages from part to part: k-1 before anybody has the whole sum,
// k-1 more until everybody has. Each leaves its part, whatever set of vertices is put round it.
Limit limit_of(const Partition& partition, PartCuts& cuts) {
  Limit limit{0, 2 * (static_cast<Amount>(partition.parts.size()) - 1), {}, partition.name, 0};
  for (const auto& part : partition.parts) {
    const PartCuts::Outlet& outlet = cuts.of(part);
    limit.capacity += outlet.capacity;
    limit.links.insert(limit.links.end(), outlet.links.begin(), outlet.links.end());
  }
  std::sort(limit.links.begin(), limit.links.end());
  limit.links.erase(std::unique(limit.links.begin(), limit.links.end()), limit.links.end());
  limit.links_total = static_cast<Amount>(limit.links.size());
  return limit;
}

Partition named(std::vector<std::vector<int>> parts, const char* what) {
  const std::size_t count = parts.size();
  return {std::move(parts), fmt::format("{} {}, each on its own", count, what)};
}

std::vector<std::vector<int>> singletons(const std::vector<int>& vertices) {
  std::vector<std::vector<int>> parts;
  for (const int v : vertices) parts.push_back({v});
  return parts;
}

// One part, and its others one by one.
Partition around(const Ranks& ranks, const std::vector<int>& part) {
  auto parts = singletons(ranks.others(part));
  const std::string name =
      fmt::format("{} ranks together, {} each on its own", part.size(), parts.size());
  parts.push_back(part);
  return {std::move(parts), name};
}

std::vector<Partition> partitions_of(Ranks& ranks) {
  FlowNetwork& network = ranks.network(Direction::forward);
  const Gathering gathering = ranks.all_to_everyone();
  const Cut cut = tightest_cut(network, gathering);
  const std::vector<int> near = ranks.inside(cut.inside);
  return {named(singletons(ranks.vertices()), "ranks"), named(ranks.nodes(), "nodes"),
          named(tight_parts(network, gathering, cut), "groups"), around(ranks, near),
          around(ranks, ranks.others(near))};
}

// One reduced vector must leave every set that splits the ranks, and one must enter it.
Limit cut_limit(Ranks& ranks) {
  const std::vector<int>& all = ranks.vertices();
  const Gathering gathering = ranks.one_to(all.front(), {all.begin() + 1, all.end()});
  Limit best;
  for (const Direction direction : directions) {
    const Cut cut = tightest_cut(ranks.network(direction), gathering);
    const Limit limit = ranks.limit_of(cut, direction, cut.capacity, 1);
    if (tighter(limit, best)) best = limit;
  }
  return best;
}

}  // namespace

Limit all_reduce_limit(Ranks& ranks) {
  Limit best = cut_limit(ranks);
  const std::vector<Partition> partitions = partitions_of(ranks);
  for (const Direction direction : directions) {
    PartCuts cuts(ranks, direction);
    for (const Partition& partition : partitions) {
      if (partition.parts.size() < 2) continue;
      const Limit limit = limit_of(partition, cuts);
      if (tighter(limit, best)) best = limit;
    }
  }
  return best;
}

}  // namespace railwright::collectives
