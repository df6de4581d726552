#include "collectives/bound/flow_network.hpp"

#include <algorithm>
#include <numeric>

namespace railwright::collectives {

FlowNetwork::FlowNetwork(const LinkRates& rates, Direction direction)
    : FlowNetwork(rates.graph->vertices(), rates.graph->source, rates.graph->target, rates.capacity,
                  rates.unit, direction) {}

FlowNetwork::FlowNetwork(int vertices, const std::vector<int>& source,
                         const std::vector<int>& target, std::vector<Amount> capacity, Amount unit,
                         Direction direction)
    : head_(2 * capacity.size()),
      capacity_(std::move(capacity)),
      residual_(head_.size()),
      first_arc_(vertices + 1),
      level_(vertices),
      current_(vertices),
      unit_(unit) {
  const int away = direction == Direction::forward ? 0 : 1;
  for (std::size_t l = 0; l < capacity_.size(); ++l) {
    head_[2 * l + away] = target[l];
    head_[2 * l + 1 - away] = source[l];
    total_ += capacity_[l];
  }
  index_arcs();
}

void FlowNetwork::index_arcs() {
  for (std::size_t a = 0; a < head_.size(); ++a) ++first_arc_[head_[a ^ 1] + 1];
  std::partial_sum(first_arc_.begin(), first_arc_.end(), first_arc_.begin());
  arcs_.resize(head_.size());
  std::vector<int> next(first_arc_.begin(), first_arc_.end() - 1);
  for (std::size_t a = 0; a < head_.size(); ++a) arcs_[next[head_[a ^ 1]]++] = static_cast<int>(a);
}

Amount FlowNetwork::leaving(const VertexSet& inside) const {
  Amount sum = 0;
  for (std::size_t l = 0; l < capacity_.size(); ++l)
    if (inside[head_[2 * l + 1]] && !inside[head_[2 * l]]) sum += capacity_[l];
  return sum;
}

void FlowNetwork::clear(Amount factor) {
  for (std::size_t l = 0; l < capacity_.size(); ++l) {
    residual_[2 * l] = factor * capacity_[l];
    residual_[2 * l + 1] = 0;
  }
}

void FlowNetwork::push(std::vector<Amount>& supply, const VertexSet& sinks) {
  for (std::size_t v = 0; v < supply.size(); ++v)
    if (sinks[v]) supply[v] = 0;
  while (label(supply, sinks)) {
    std::copy(first_arc_.begin(), first_arc_.end() - 1, current_.begin());
    for (std::size_t v = 0; v < supply.size(); ++v)
      if (supply[v] > 0) drain(static_cast<int>(v), supply[v], sinks);
  }
}

// Hops from the nearest supply, up to the nearest sink; whether there is one.
bool FlowNetwork::label(const std::vector<Amount>& supply, const VertexSet& sinks) {
  std::fill(level_.begin(), level_.end(), -1);
  queue_.clear();
  for (std::size_t v = 0; v < supply.size(); ++v)
    if (supply[v] > 0) {
      level_[v] = 0;
      queue_.push_back(static_cast<int>(v));
    }
  bool found = false;
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    const int v = queue_[i];
    if (found && level_[v] + 1 > level_[queue_.back()]) break;
    for (int k = first_arc_[v]; k < first_arc_[v + 1]; ++k) {
      const int arc = arcs_[k], to = head_[arc];
      if (residual_[arc] == 0 || level_[to] >= 0) continue;
      level_[to] = level_[v] + 1;
      found = found || sinks[to];
      queue_.push_back(to);
    }
  }
  return found;
}

// The next arc that leads one level further, or -1.
int FlowNetwork::open_arc(int vertex) {
  for (int& k = current_[vertex]; k < first_arc_[vertex + 1]; ++k) {
    const int arc = arcs_[k];
    if (residual_[arc] > 0 && level_[head_[arc]] == level_[vertex] + 1) return arc;
  }
  return -1;
}

Amount FlowNetwork::carry(const std::vector<int>& path, Amount most) {
  for (const int arc : path) most = std::min(most, residual_[arc]);
  for (const int arc : path) {
    residual_[arc] -= most;
    residual_[arc ^ 1] += most;
  }
  return most;
}

void FlowNetwork::drain(int source, Amount& supply, const VertexSet& sinks) {
  path_.clear();
  int at = source;
  while (supply > 0) {
    if (sinks[at]) {
      supply -= carry(path_, supply);
      path_.clear();
      at = source;
    } else if (const int arc = open_arc(at); arc >= 0) {
      path_.push_back(arc);
      at = head_[arc];
    } else {
      if (path_.empty()) return;
      level_[at] = -1;  // a dead end until the next labels
      at = head_[path_.back() ^ 1];
      path_.pop_back();
    }
  }
}

VertexSet FlowNetwork::closure(const VertexSet& seeds, bool forwards) const {
  VertexSet reached = seeds;
  std::vector<int> queue;
  for (std::size_t v = 0; v < seeds.size(); ++v)
    if (seeds[v]) queue.push_back(static_cast<int>(v));
  while (!queue.empty()) {
    const int v = queue.back();
    queue.pop_back();
    for (int k = first_arc_[v]; k < first_arc_[v + 1]; ++k) {
      const int arc = arcs_[k];
      if (reached[head_[arc]] || residual_[forwards ? arc : arc ^ 1] == 0) continue;
      reached[head_[arc]] = 1;
      queue.push_back(head_[arc]);
    }
  }
  return reached;
}

VertexSet FlowNetwork::reached_from(const VertexSet& seeds) const { return closure(seeds, true); }
VertexSet FlowNetwork::reaching(const VertexSet& seeds) const { return closure(seeds, false); }

}  // namespace railwright::collectives
