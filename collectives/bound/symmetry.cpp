#include "collectives/bound/symmetry.hpp"

#include <algorithm>
#include <map>
#include <numeric>

namespace railwright::collectives {

namespace {

constexpr std::int64_t most_work = 400'000'000;  // links: some seconds

}  // namespace

Symmetry::Symmetry(const LinkRates& rates, const Entering& entering,
                   const EquitablePartition& partition, const std::vector<int>& members)
    : rates_(rates),
      entering_(entering),
      partition_(partition),
      image_(rates.graph->vertices(), -1),
      origin_(image_),
      parent_(image_.size()) {
  std::iota(parent_.begin(), parent_.end(), 0);
  std::map<int, std::vector<int>> classes;
  for (const int v : members) classes[partition.class_of(v)].push_back(v);
  for (const auto& [one, list] : classes) {
    std::vector<int> blocks;
    for (List rest = list; !rest.empty();) {
      blocks.clear();
      rest = rest.subspan(join(rest, blocks));
    }
    if (classes.size() == 1 && blocks.back() == static_cast<int>(list.size())) blocks_ = blocks;
  }
  std::map<int, std::size_t> orbit_of;
  for (const int v : members) {
    const auto [place, first] = orbit_of.try_emplace(root_of(v), orbits_.size());
    if (first) orbits_.push_back({v, 0});
    ++orbits_[place->second].size;
  }
}

// Likely sizes of blocks first: how many members are no farther than so many links. Then whatever
// divides the list.
std::size_t Symmetry::join(List list, std::vector<int>& blocks) {
  std::size_t block = 1;
  blocks = {1};
  const auto grows = [&](std::size_t size) {
    if (size <= block || size > list.size() || size % block != 0 || work_ > most_work) return false;
    if (!turn(list, block, size)) return false;
    block = size;
    blocks.push_back(static_cast<int>(size));
    return true;
  };
  if (list.size() > 1 && work_ < most_work)
    for (const std::size_t size : balls(list.front())) grows(size);
  for (bool grown = true; grown && block < list.size();) {
    grown = false;
    for (std::size_t parts = 1; parts <= list.size() / block && !grown; ++parts)
      if (list.size() % parts == 0) grown = grows(list.size() / parts);
  }
  return block;
}

std::vector<std::size_t> Symmetry::balls(int member) {
  const topology::Graph& graph = *rates_.graph;
  const int one = partition_.class_of(member);
  std::vector<char> seen(graph.vertices(), 0);
  std::vector<int> layer{member}, next;
  std::vector<std::size_t> sizes;
  std::size_t size = 1;
  seen[member] = 1;
  for (; !layer.empty(); layer.swap(next)) {
    next.clear();
    const std::size_t before = size;
    for (const int v : layer)
      for (int l = graph.first_link[v]; l < graph.first_link[v + 1]; ++l) {
        const int to = graph.target[l];
        ++work_;
        if (seen[to] || rates_.capacity[l] == 0) continue;
        seen[to] = 1;
        next.push_back(to);
        if (partition_.class_of(to) == one) ++size;
      }
    if (size > before) sizes.push_back(size);
  }
  return sizes;
}

// Whether the first `period` of the list can all move on by `unit` places, the last ones to the
// front.
bool Symmetry::turn(List list, std::size_t unit, std::size_t period) {
  bool possible = true;
  for (std::size_t i = 0; i < period; ++i)
    possible = possible && assign(list[i], list[(i + unit) % period]);
  for (std::size_t i = 0; i < moved_.size() && possible; ++i) possible = follow(moved_[i]);
  possible = possible && is_proved();
  for (const int v : moved_) {
    if (possible) parent_[root_of(v)] = root_of(image_[v]);
    origin_[image_[v]] = -1;
    image_[v] = -1;
  }
  moved_.clear();
  return possible;
}

bool Symmetry::assign(int vertex, int image) {
  if (origin_[image] >= 0 || partition_.class_of(vertex) != partition_.class_of(image))
    return false;
  image_[vertex] = image;
  origin_[image] = vertex;
  moved_.push_back(vertex);
  return true;
}

// Neighbours of what moves move along.
bool Symmetry::follow(int vertex) {
  const topology::Graph& graph = *rates_.graph;
  const int image = image_[vertex];
  if (image == vertex) return true;
  for (int l = graph.first_link[vertex]; l < graph.first_link[vertex + 1]; ++l) {
    const int to = graph.target[l];
    if (rates_.capacity[l] == 0) continue;
    ++work_;
    if (image_[to] >= 0) {
      if (!keeps(image, image_[to], rates_.capacity[l])) return false;
      continue;
    }
    const int counterpart = this->counterpart(l, image);
    if (counterpart < 0 || !assign(to, counterpart)) return false;
  }
  return true;
}

// The first neighbour of the image, over a link of the same rate, that nothing has moved to yet.
int Symmetry::counterpart(int link, int image) const {
  const topology::Graph& graph = *rates_.graph;
  const int one = partition_.class_of(graph.target[link]);
  for (int l = graph.first_link[image]; l < graph.first_link[image + 1]; ++l) {
    const int to = graph.target[l];
    if (rates_.capacity[l] == rates_.capacity[link] && origin_[to] < 0 &&
        partition_.class_of(to) == one)
      return to;
  }
  return -1;
}

bool Symmetry::keeps(int source, int target, Amount capacity) const {
  const auto link = rates_.graph->link_between({source}, {target});
  return link && rates_.capacity[link->index] == capacity;
}

// A permutation that carries every link onto one of its rate. Links between two vertices that stay
// need no look; as no two links have one image, all are hit.
bool Symmetry::is_proved() const {
  const topology::Graph& graph = *rates_.graph;
  for (const int v : moved_) {
    const int image = image_[v];
    if (image_[image] < 0) return false;  // nothing else would stay where it is
    if (image == v) continue;
    for (int l = graph.first_link[v]; l < graph.first_link[v + 1]; ++l)
      if (rates_.capacity[l] > 0 && !keeps(image, image_of(graph.target[l]), rates_.capacity[l]))
        return false;
    for (int k = entering_.first[v]; k < entering_.first[v + 1]; ++k) {
      const int l = entering_.links[k];
      if (rates_.capacity[l] > 0 && !keeps(image_of(graph.source[l]), image, rates_.capacity[l]))
        return false;
    }
  }
  return true;
}

int Symmetry::root_of(int vertex) {
  while (parent_[vertex] != vertex) vertex = parent_[vertex] = parent_[parent_[vertex]];
  return vertex;
}

}  // namespace railwright::collectives
