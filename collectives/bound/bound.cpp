#include "collectives/bound.hpp"

#include <algorithm>
#include <cassert>

#include "collectives/bound/group_limits.hpp"
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

const Folding& NetworkLimits::folding(int alone) {
  auto& folding = foldings_[alone];
  if (!folding) folding = std::make_unique<Folding>(ranks_, alone);
  return *folding;
}

std::optional<Limit> NetworkLimits::limit(Operation operation, int root) {
  const auto links = static_cast<Amount>(ranks_.rates().capacity.size());
  if (ranks_.count() < 2 || !ranks_.fits()) return std::nullopt;
  if (ranks_.count() <= most_work / std::max<Amount>(1, links))
    return limit_of(operation, ranks_, root);
  const bool rooted = operation == Operation::broadcast || operation == Operation::reduce;
  return folded_limit(operation, ranks_, folding(rooted ? ranks_.vertices()[root] : -1), root);
}

std::optional<Bound> NetworkLimits::bound(Operation operation, int root) {
  const auto [place, first] = known_.try_emplace({operation, root});
  if (!first) return place->second;
  auto limit = this->limit(operation, root);
  if (!limit) return std::nullopt;
  const double unit = static_cast<double>(ranks_.rates().unit);
  const double units = static_cast<double>(limit->capacity) / static_cast<double>(limit->demand);
  place->second =
      Bound{{unit * units}, std::move(limit->links), limit->links_total, std::move(limit->cut)};
  return place->second;
}

GroupLimits::State::State(const std::vector<topology::AcceleratorId>& members,
                          const topology::Cluster& cluster)
    : members(members), cluster(cluster), whole(members, cluster, rates_of(cluster.graph)) {}

GroupLimits::GroupLimits(const std::vector<topology::AcceleratorId>& members,
                         const topology::Cluster& cluster)
    : state_(std::make_unique<State>(members, cluster)) {}

GroupLimits::~GroupLimits() = default;

std::optional<Bound> GroupLimits::bound(Operation operation, int root) {
  assert(state_->members.empty() || (root >= 0 && root < static_cast<int>(state_->members.size())));
  return state_->whole.bound(operation, root);
}

// All-gather, broadcast: copies made on the way do not let distinct data cross a cut in fewer
// bytes. Reduce-scatter, reduce: the bounds count one sum per part already, wherever it is made.
// All-reduce: every set with rank 0 and without another one lets a vector out, as in a broadcast
// from rank 0, and one in, as in a reduction to it; these are all sets that split the ranks.
std::optional<Bound> GroupLimits::bound_in_network(Operation operation, int root) {
  if (operation != Operation::all_reduce) return bound(operation, root);
  auto out = bound(Operation::broadcast, 0), in = bound(Operation::reduce, 0);
  if (!out || !in) return std::nullopt;
  return in->algorithm_bandwidth < out->algorithm_bandwidth ? in : out;
}

std::optional<Bound> bound_of(Operation operation,
                              const std::vector<topology::AcceleratorId>& members,
                              const topology::Cluster& cluster, int root) {
  return GroupLimits(members, cluster).bound(operation, root);
}

std::optional<Bound> bound_in_network(Operation operation,
                                      const std::vector<topology::AcceleratorId>& members,
                                      const topology::Cluster& cluster, int root) {
  return GroupLimits(members, cluster).bound_in_network(operation, root);
}

Seconds bound_time(const Bound& bound, Operation operation, int ranks, Bytes size) {
  const auto parts = static_cast<std::uint64_t>(in_parts(operation) ? ranks : 1);
  const Bytes moved{size.count / parts * parts};
  if (moved.count == 0) return {};
  return moved / bound.algorithm_bandwidth;
}

}  // namespace railwright::collectives
