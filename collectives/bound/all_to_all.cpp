#include "collectives/bound/ranks.hpp"

namespace railwright::collectives {

namespace {

// Sets of ranks whose surroundings may be narrow.
std::vector<std::vector<int>> groups_of(Ranks& ranks) {
  const std::vector<int>& all = ranks.vertices();
  std::vector<std::vector<int>> groups = ranks.nodes();
  for (const int v : all) groups.push_back({v});
  groups.emplace_back(all.begin(), all.begin() + ranks.count() / 2);
  const Cut cut = tightest_cut(ranks.network(Direction::forward), ranks.all_to_everyone());
  groups.push_back(ranks.inside(cut.inside));
  return groups;
}

}  // namespace

// With q ranks in a group and p in all, q (p - q) parts of n / p bytes leave it, and as many enter.
Limit all_to_all_limit(Ranks& ranks) {
  Limit best;
  for (const std::vector<int>& group : groups_of(ranks)) {
    const std::vector<int> rest = ranks.others(group);
    if (rest.empty()) continue;
    const auto pairs = static_cast<Amount>(group.size() * rest.size());
    for (const Direction direction : {Direction::forward, Direction::reversed}) {
      const Cut cut = cut_between(ranks.network(direction), group, rest);
      const Amount capacity = ranks.count() * cut.capacity;
      if (tighter({capacity, pairs, {}, {}, 0}, best))
        best = ranks.limit_of(cut, direction, capacity, pairs);
    }
  }
  return best;
}

}  // namespace railwright::collectives
