#include "collectives/bound.hpp"

#include <algorithm>
#include <cassert>

#include "collectives/bound/ranks.hpp"
#include "collectives/cost.hpp"

namespace railwright::collectives {

namespace {

constexpr Amount most_work = 50'000'000;  // members x links: some seconds

// A weight of 1 stands for one of `parts` equal parts of the buffer.
Limit gathering_limit(Ranks& ranks, const Gathering& gathering, Direction direction, int parts) {
  const Cut cut = tightest_cut(ranks.network(direction), gathering);
  return ranks.limit_of(cut, direction, parts * cut.capacity, cut.weight);
}

Limit limit_of(Operation operation, Ranks& ranks, int root) {
  const std::vector<int>& all = ranks.vertices();
  switch (operation) {
    case Operation::all_reduce:
      return all_reduce_limit(ranks);
    case Operation::all_to_all:
      return all_to_all_limit(ranks);
    case Operation::all_gather:
      return gathering_limit(ranks, ranks.all_to_everyone(), Direction::forward, ranks.count());
    case Operation::reduce_scatter:  // an all-gather played backwards
      return gathering_limit(ranks, ranks.all_to_everyone(), Direction::reversed, ranks.count());
    case Operation::broadcast:
      return gathering_limit(ranks, ranks.one_to(all[root], ranks.others({all[root]})),
                             Direction::forward, 1);
    case Operation::reduce:  // a broadcast played backwards
      return gathering_limit(ranks, ranks.one_to(all[root], ranks.others({all[root]})),
                             Direction::reversed, 1);
    case Operation::send:
      return gathering_limit(ranks, ranks.one_to(all.front(), {all.back()}), Direction::forward, 1);
  }
  return {};
}

}  // namespace

bool few_enough(const std::vector<topology::AcceleratorId>& members,
                const topology::Cluster& cluster) {
  const auto count = static_cast<Amount>(members.size());
  return count >= 2 && count <= most_work / std::max(1, cluster.graph.links());
}

std::optional<Bound> bound_of(Operation operation,
                              const std::vector<topology::AcceleratorId>& members,
                              const topology::Cluster& cluster, int root) {
  assert(members.empty() || (root >= 0 && root < static_cast<int>(members.size())));
  if (!few_enough(members, cluster)) return std::nullopt;
  Ranks ranks(members, cluster);
  if (!ranks.fits()) return std::nullopt;
  Limit limit = limit_of(operation, ranks, root);
  const double unit = static_cast<double>(ranks.network(Direction::forward).unit());
  const double units = static_cast<double>(limit.capacity) / static_cast<double>(limit.demand);
  return Bound{{unit * units}, std::move(limit.links), std::move(limit.cut)};
}

Seconds bound_time(const Bound& bound, Operation operation, int ranks, Bytes size) {
  const auto parts = static_cast<std::uint64_t>(in_parts(operation) ? ranks : 1);
  const Bytes moved{size.count / parts * parts};
  if (moved.count == 0) return {};
  return moved / bound.algorithm_bandwidth;
}

}  // namespace railwright::collectives
