#include "collectives/bound/equitable.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <numeric>
#include <unordered_map>

#include "topology/mixed.hpp"

namespace railwright::collectives {

namespace {

// Of a class, in sums of capacities: odd so that no multiple of it vanishes.
std::uint64_t mixed(std::uint64_t value) { return topology::mixed(value) | 1; }
std::uint64_t out_key(int one) { return mixed(2 * static_cast<std::uint64_t>(one)); }
std::uint64_t in_key(int one) { return mixed(2 * static_cast<std::uint64_t>(one) + 1); }

// Capacity by class, of the links of one vertex: few, so that a list is soon searched.
struct Sums {
  std::vector<std::pair<int, Amount>> entries;
  void add(int key, Amount amount) {
    for (auto& [known, sum] : entries)
      if (known == key) {
        sum += amount;
        return;
      }
    entries.push_back({key, amount});
  }
};

}  // namespace

EquitablePartition::EquitablePartition(const LinkRates& rates, const Entering& entering,
                                       const std::vector<int>& colour)
    : rates_(rates),
      entering_(entering),
      class_(colour),
      place_(colour.size()),
      order_(colour.size()),
      is_dirty_(colour.size(), 0) {
  std::map<int, int> count;
  for (const int c : colour) ++count[c];
  std::map<int, int> name;
  for (const auto& [c, vertices] : count) {
    name[c] = classes();
    begin_.push_back(end_.empty() ? 0 : end_.back());
    end_.push_back(begin_.back() + vertices);
  }
  std::vector<int> next = begin_;
  for (std::size_t v = 0; v < colour.size(); ++v) {
    class_[v] = name[colour[v]];
    place_[v] = next[class_[v]]++;
    order_[place_[v]] = static_cast<int>(v);
  }
  refine(order_);
}

void EquitablePartition::set_apart(std::span<const int> vertices) {
  std::map<int, Group> groups;
  for (const int v : vertices) {
    groups[class_[v]].of = class_[v];
    groups[class_[v]].vertices.push_back(v);
  }
  std::vector<int> changed;
  for (const auto& [one, group] : groups)
    if (group.vertices.size() < vertices_of(one).size()) move_out(group, changed);
  refine(std::move(changed));
}

void EquitablePartition::mark_neighbours(const std::vector<int>& changed) {
  const topology::Graph& graph = *rates_.graph;
  dirty_.clear();
  const auto mark = [&](int v) {
    if (is_dirty_[v]) return;
    is_dirty_[v] = 1;
    dirty_.push_back(v);
  };
  for (const int v : changed) {
    for (int l = graph.first_link[v]; l < graph.first_link[v + 1]; ++l)
      if (rates_.capacity[l] > 0) mark(graph.target[l]);
    for (int k = entering_.first[v]; k < entering_.first[v + 1]; ++k)
      if (rates_.capacity[entering_.links[k]] > 0) mark(graph.source[entering_.links[k]]);
  }
}

// The same for equal sums of capacity to and from every class; for others too with a probability
// of 2^-64, which is_equitable() would notice.
std::uint64_t EquitablePartition::signature(int vertex) const {
  const topology::Graph& graph = *rates_.graph;
  std::uint64_t sum = mixed(static_cast<std::uint64_t>(class_[vertex]) << 32);
  for (int l = graph.first_link[vertex]; l < graph.first_link[vertex + 1]; ++l)
    sum += static_cast<std::uint64_t>(rates_.capacity[l]) * out_key(class_[graph.target[l]]);
  for (int k = entering_.first[vertex]; k < entering_.first[vertex + 1]; ++k) {
    const int l = entering_.links[k];
    sum += static_cast<std::uint64_t>(rates_.capacity[l]) * in_key(class_[graph.source[l]]);
  }
  return sum;
}

// Only looked up, never gone through: the order of the groups is that of their first vertices.
std::vector<EquitablePartition::Group> EquitablePartition::groups_of_dirty() const {
  std::unordered_map<std::uint64_t, int> group_of;
  std::vector<Group> groups;
  for (const int v : dirty_) {
    const auto [place, first] = group_of.try_emplace(signature(v), static_cast<int>(groups.size()));
    if (first) groups.push_back({class_[v], {}});
    groups[place->second].vertices.push_back(v);
  }
  return groups;
}

void EquitablePartition::move_out(const Group& group, std::vector<int>& changed) {
  const int one = classes();
  const int end = end_[group.of];
  for (const int v : group.vertices) {
    const int last = --end_[group.of], other = order_[last];
    std::swap(order_[place_[v]], order_[last]);
    place_[other] = place_[v];
    place_[v] = last;
    class_[v] = one;
  }
  begin_.push_back(end_[group.of]);
  end_.push_back(end);
  changed.insert(changed.end(), group.vertices.begin(), group.vertices.end());
}

// Every group gets a class of its own but the largest of each class, which keeps the old one. What
// is not dirty has no link to or from what changed, so it is a group like the others.
void EquitablePartition::split(std::vector<Group> groups, std::vector<int>& changed) {
  std::map<int, std::vector<std::size_t>> by_class;
  for (std::size_t g = 0; g < groups.size(); ++g) by_class[groups[g].of].push_back(g);
  for (const auto& [one, indices] : by_class) {
    std::size_t largest = indices.front(), dirty = 0;
    for (const std::size_t g : indices) {
      dirty += groups[g].vertices.size();
      if (groups[g].vertices.size() > groups[largest].vertices.size()) largest = g;
    }
    const std::size_t rest = vertices_of(one).size() - dirty;
    const bool rest_stays = rest > groups[largest].vertices.size();
    Group others{one, {}};
    if (!rest_stays)
      for (const int v : vertices_of(one))
        if (!is_dirty_[v]) others.vertices.push_back(v);
    for (const std::size_t g : indices)
      if (g != largest || rest_stays) move_out(groups[g], changed);
    if (!others.vertices.empty()) move_out(others, changed);
  }
}

void EquitablePartition::refine(std::vector<int> changed) {
  while (!changed.empty()) {
    mark_neighbours(changed);
    changed.clear();
    split(groups_of_dirty(), changed);
    for (const int v : dirty_) is_dirty_[v] = 0;
  }
  assert(is_equitable());
}

bool EquitablePartition::is_equitable() const {
  const topology::Graph& graph = *rates_.graph;
  std::vector<Amount> expected(2 * begin_.size(), 0), found(expected);
  std::vector<int> kinds, others;  // entries of the two that are not 0
  const auto add_up = [&](int v, std::vector<Amount>& sums, std::vector<int>& entries) {
    const auto add = [&](std::size_t entry, Amount capacity) {
      if (capacity > 0 && sums[entry] == 0) entries.push_back(static_cast<int>(entry));
      sums[entry] += capacity;
    };
    for (int l = graph.first_link[v]; l < graph.first_link[v + 1]; ++l)
      add(2 * static_cast<std::size_t>(class_[graph.target[l]]), rates_.capacity[l]);
    for (int k = entering_.first[v]; k < entering_.first[v + 1]; ++k) {
      const int l = entering_.links[k];
      add(2 * static_cast<std::size_t>(class_[graph.source[l]]) + 1, rates_.capacity[l]);
    }
  };
  const auto forget = [](std::vector<Amount>& sums, std::vector<int>& entries) {
    for (const int entry : entries) sums[entry] = 0;
    entries.clear();
  };
  bool equal = true;
  for (int one = 0; one < classes() && equal; ++one) {
    add_up(vertices_of(one).front(), expected, kinds);
    for (const int v : vertices_of(one)) {
      add_up(v, found, others);
      equal = equal && others.size() == kinds.size() &&
              std::ranges::all_of(kinds, [&](int k) { return found[k] == expected[k]; });
      forget(found, others);
    }
    forget(expected, kinds);
  }
  return equal;
}

FlowNetwork EquitablePartition::quotient(Direction direction) const {
  const topology::Graph& graph = *rates_.graph;
  std::vector<int> source, target;
  std::vector<Amount> capacity;
  for (int one = 0; one < classes(); ++one) {
    const int v = vertices_of(one).front();
    Sums sums;
    for (int l = graph.first_link[v]; l < graph.first_link[v + 1]; ++l)
      if (rates_.capacity[l] > 0 && class_[graph.target[l]] != one)
        sums.add(class_[graph.target[l]], rates_.capacity[l]);
    for (const auto& [other, sum] : sums.entries) {
      source.push_back(one);
      target.push_back(other);
      capacity.push_back(sum * static_cast<Amount>(vertices_of(one).size()));
    }
  }
  return {classes(), source, target, std::move(capacity), rates_.unit, direction};
}

VertexSet EquitablePartition::lifted(const VertexSet& classes) const {
  VertexSet vertices(class_.size());
  for (std::size_t v = 0; v < class_.size(); ++v) vertices[v] = classes[class_[v]];
  return vertices;
}

}  // namespace railwright::collectives
