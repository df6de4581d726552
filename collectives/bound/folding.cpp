#include "collectives/bound/folding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace railwright::collectives {

namespace {

constexpr std::size_t most_work = 250'000'000;  // kinds of ranks x links

std::vector<int> colours_of(const Ranks& ranks, int alone) {
  std::vector<int> colour(ranks.rates().graph->vertices(), 0);
  for (const int v : ranks.vertices()) colour[v] = 1;
  if (alone >= 0) colour[alone] = 2;
  return colour;
}

std::vector<int> without(const std::vector<int>& vertices, int one) {
  std::vector<int> rest;
  std::ranges::remove_copy(vertices, std::back_inserter(rest), one);
  std::ranges::sort(rest);
  return rest;
}

constexpr Direction directions[] = {Direction::forward, Direction::reversed};

class Question {
 public:
  Question(const Ranks& ranks, const Folding& folding) : ranks_(ranks), folding_(folding) {}

  // The tightest of those around each kind of rank.
  Limit gathering(Direction direction, int parts, int source = -1) const {
    Limit best;
    for (const Symmetry::Orbit& orbit : folding_.orbits()) {
      if (orbit.member == source) continue;
      const Cut cut = folding_.tightest_around(orbit.member, direction, source);
      if (tighter({parts * cut.capacity, cut.weight, {}, {}, 0}, best))
        best = ranks_.limit_of(cut, direction, parts * cut.capacity, cut.weight);
    }
    return best;
  }

  Limit sending() const {
    const Cut cut = folding_.tightest_around(ranks_.vertices().back(), Direction::forward,
                                             ranks_.vertices().front());
    return ranks_.limit_of(cut, Direction::forward, cut.capacity, cut.weight);
  }

  Limit all_reduce() const {
    Limit best;
    const auto take = [&](Limit limit) {
      if (tighter(limit, best)) best = std::move(limit);
    };
    for (const Direction direction : directions) {
      take(singletons(direction));
      for (const int size : folding_.blocks()) {
        if (size == 1 || size == ranks_.count()) continue;
        const Cut cut = folding_.outlet(block_of(size), direction);
        take(each_on_its_own(cut, direction, ranks_.count() / size, size));
        take(ranks_.limit_of(cut, direction, cut.capacity, 1));
      }
      for (const Symmetry::Orbit& orbit : folding_.orbits()) {
        const Cut cut = folding_.tightest_around(orbit.member, direction);
        take(ranks_.limit_of(cut, direction, cut.capacity, 1));
      }
    }
    return best;
  }

  // With q ranks in a group and p in all, q (p - q) parts of n / p bytes leave it.
  Limit all_to_all() const {
    std::vector<std::vector<int>> parts;
    for (const Symmetry::Orbit& orbit : folding_.orbits()) parts.push_back({orbit.member});
    for (const int size : folding_.blocks())
      if (size > 1 && size < ranks_.count()) parts.push_back(block_of(size));
    parts.push_back(block_of(ranks_.count() / 2));
    for (const Symmetry::Orbit& orbit : folding_.orbits())
      parts.push_back(
          ranks_.inside(folding_.tightest_around(orbit.member, Direction::forward).inside));
    Limit best;
    for (const std::vector<int>& part : parts)
      for (const Direction direction : directions) {
        const Cut cut = folding_.outlet(part, direction);
        const auto held = static_cast<Amount>(part.size());
        const Amount pairs = held * (ranks_.count() - held),
                     capacity = ranks_.count() * cut.capacity;
        if (tighter({capacity, pairs, {}, {}, 0}, best))
          best = ranks_.limit_of(cut, direction, capacity, pairs);
      }
    return best;
  }

 private:
  std::vector<int> block_of(int size) const {
    return {folding_.members().begin(), folding_.members().begin() + size};
  }

  // k parts with the outlet of the first: its links stand for those of all.
  Limit each_on_its_own(const Cut& cut, Direction direction, Amount parts, int size) const {
    Limit limit = ranks_.limit_of(cut, direction, parts * cut.capacity, 2 * (parts - 1));
    limit.cut = fmt::format("{} groups of {} ranks, each on its own", parts, size);
    limit.links_total *= parts;
    return limit;
  }

  Limit singletons(Direction direction) const {
    Limit limit{0, 2 * (Amount{ranks_.count()} - 1), {}, {}, 0};
    limit.cut = fmt::format("{} ranks, each on its own", ranks_.count());
    for (const Symmetry::Orbit& orbit : folding_.orbits()) {
      const Cut cut = folding_.outlet({orbit.member}, direction);
      limit.capacity += orbit.size * cut.capacity;
      const auto links = ranks_.links_leaving(cut.inside, direction);
      limit.links.insert(limit.links.end(), links.begin(), links.end());
      limit.links_total += orbit.size * static_cast<Amount>(links.size());
    }
    std::ranges::sort(limit.links);
    return limit;
  }

  const Ranks& ranks_;
  const Folding& folding_;
};

}  // namespace

Folding::Folding(const Ranks& ranks, int alone)
    : ranks_(ranks),
      entering_(entering(*ranks.rates().graph)),
      partition_(ranks.rates(), entering_, colours_of(ranks, alone)),
      members_(without(ranks.vertices(), alone)),
      symmetry_(ranks.rates(), entering_, partition_, members_) {}

bool Folding::few_kinds() const {
  return orbits().size() * ranks_.rates().capacity.size() <= most_work;
}

Cut Folding::tightest_around(int sink, Direction direction, int source) const {
  EquitablePartition parts = partition_;
  if (source >= 0) parts.set_apart(std::vector{source});
  parts.set_apart(std::vector{sink});
  FlowNetwork network = parts.quotient(direction);
  Gathering gathering{std::vector<Amount>(network.vertices(), 0), {parts.class_of(sink)}};
  for (const int v : ranks_.vertices())
    if (source < 0 || v == source) ++gathering.weight[parts.class_of(v)];
  Cut cut = tightest_cut(network, gathering);
  cut.inside = parts.lifted(cut.inside);
  return cut;
}

Cut Folding::outlet(const std::vector<int>& part, Direction direction) const {
  EquitablePartition parts = partition_;
  parts.set_apart(part);
  FlowNetwork network = parts.quotient(direction);
  VertexSet taken(parts.classes(), 0), rest(taken);
  for (const int v : part) taken[parts.class_of(v)] = 1;
  std::vector<int> sources, sinks;
  for (const int v : ranks_.vertices())
    if (!taken[parts.class_of(v)]) rest[parts.class_of(v)] = 1;
  for (int c = 0; c < parts.classes(); ++c) {
    if (taken[c]) sources.push_back(c);
    if (rest[c]) sinks.push_back(c);
  }
  Cut cut = cut_between(network, sources, sinks);
  cut.inside = parts.lifted(cut.inside);
  return cut;
}

std::optional<Limit> folded_limit(Operation operation, const Ranks& ranks, const Folding& folding,
                                  int root) {
  if (!folding.few_kinds() && operation != Operation::send) return std::nullopt;
  const Question question(ranks, folding);
  const int source = ranks.vertices()[root];
  switch (operation) {
    case Operation::all_reduce:
      return question.all_reduce();
    case Operation::all_to_all:
      return question.all_to_all();
    case Operation::all_gather:
      return question.gathering(Direction::forward, ranks.count());
    case Operation::reduce_scatter:
      return question.gathering(Direction::reversed, ranks.count());
    case Operation::broadcast:
      return question.gathering(Direction::forward, 1, source);
    case Operation::reduce:
      return question.gathering(Direction::reversed, 1, source);
    case Operation::send:
      return question.sending();
  }
  return std::nullopt;
}

}  // namespace railwright::collectives
