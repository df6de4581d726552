#include "collectives/synthesis/matcher.hpp"

namespace railwright::collectives {

Matcher::Matcher(const Fabric& fabric, const MatchingTask& task)
    : fabric_(fabric),
      task_(task),
      random_(task.seed),
      held_(fabric.ranks(), Chunks(task.owner.size())),
      known_(held_),
      known_count_(fabric.ranks(), 0),
      held_count_(known_count_),
      copies_(task.owner.size(), 0),
      seen_(fabric.vertices(), 0),
      taken_(fabric.links.size(), {-1, nullptr}),
      tried_(fabric.links.size(), 0) {
  double fastest = 0;
  for (const Fabric::Link& link : fabric.links) {
    free_.push_back(link.rate);
    fastest = std::max(fastest, link.rate);
  }
  // Ends that differ by rounding only are one moment.
  window_ = static_cast<std::int64_t>(task.chunk_bytes / fastest * 1e12 / 1000);
  for (std::size_t level = 0; level < fabric.group.size(); ++level) {
    inside_.emplace_back(fabric.ranks(), Chunks(task.owner.size()));
    outside_.emplace_back(fabric.ranks(), Chunks(task.owner.size()));
  }
  inflow_.assign(fabric.ranks(), 0);
  for (const Fabric::Link& link : fabric.links)
    if (const int rank = fabric.rank_at[link.target]; rank >= 0) inflow_[rank] += link.rate;
  for (std::size_t c = 0; c < task.owner.size(); ++c) {
    held_[task.owner[c]].insert(static_cast<int>(c));
    ++held_count_[task.owner[c]];
    note_coming(task.owner[c], static_cast<int>(c));
  }
  add_ports();
  mark_slow();
}

// The best of the slowest links over ways of fewest hops.
double Matcher::widest(int from, int rank) const {
  if (from == fabric_.vertex[rank]) return INFINITY;
  const std::vector<int>& distance = fabric_.distance[rank];
  double best = 0;
  for (int k = fabric_.first_out[from]; k < fabric_.first_out[from + 1]; ++k) {
    const Fabric::Link& link = fabric_.links[fabric_.out[k]];
    if (distance[link.target] < 0 || distance[link.target] != distance[from] - 1) continue;
    best = std::max(best, std::min(link.rate, widest(link.target, rank)));
  }
  return best;
}

// The link that all shortest ways end with, or -1.
int Matcher::last_link(int from, int rank) const {
  const std::vector<int>& distance = fabric_.distance[rank];
  std::vector<int> layer{from}, next;
  int last = -1;
  for (int hops = distance[from]; hops > 0; --hops, layer.swap(next)) {
    next.clear();
    for (const int v : layer)
      for (int k = fabric_.first_out[v]; k < fabric_.first_out[v + 1]; ++k) {
        const int l = fabric_.out[k], to = fabric_.links[l].target;
        if (distance[to] != hops - 1) continue;
        if (hops == 1 && last >= 0) return -1;
        if (hops == 1) last = l;
        if (hops > 1 && std::ranges::find(next, to) == next.end()) next.push_back(to);
      }
  }
  return last;
}

int Matcher::levels_apart(int one, int other) const {
  int levels = 0;
  for (const std::vector<int>& group : fabric_.group) levels += group[one] != group[other] ? 1 : 0;
  return levels;
}

void Matcher::add_ports() {
  for (int rank = 0; rank < fabric_.ranks(); ++rank) {
    const int from = fabric_.vertex[rank];
    for (int k = fabric_.first_out[from]; k < fabric_.first_out[from + 1]; ++k) {
      const int l = fabric_.out[k], head = fabric_.links[l].target;
      Port port{rank, l, {}};
      for (int target = 0; target < fabric_.ranks(); ++target) {
        const bool direct = fabric_.rank_at[head] >= 0;
        if (target == rank || (direct && fabric_.rank_at[head] != target)) continue;
        if (fabric_.distance[target][head] < 0) continue;
        const double rate = std::min(fabric_.links[l].rate, widest(head, target));
        if (rate > 0)
          port.targets.push_back({target, rate, last_link(head, target),
                                  fabric_.distance[target][head] == 1, levels_apart(rank, target),
                                  false});
      }
      if (!port.targets.empty()) ports_.push_back(std::move(port));
    }
  }
}

void Matcher::mark_slow() {
  const auto ranks = static_cast<std::size_t>(fabric_.ranks());
  std::vector<double> best(ranks * ranks, 0);
  for (const Port& port : ports_)
    for (const Port::Target& target : port.targets) {
      double& rate = best[port.rank * ranks + target.rank];
      rate = std::max(rate, target.rate);
    }
  for (Port& port : ports_)
    for (Port::Target& target : port.targets)
      target.slow = 2 * target.rate < best[port.rank * ranks + target.rank];
}

// Fresh is what the largest group that has the target but not the source lacks altogether.
const Choice& Matcher::choice_of(int source, int target, Urgency urgency) {
  choice_.held = &held_[source];
  choice_.without = {&known_[target]};
  bool largest = true;
  for (std::size_t level = fabric_.group.size(); level-- > 0;) {
    const int from = fabric_.group[level][source], to = fabric_.group[level][target];
    if (from == to) continue;
    if ((largest && urgency == Urgency::fresh && task_.groups_first) || task_.tight_in[level][to])
      choice_.without.push_back(&inside_[level][to]);
    if (task_.tight_out[level][from]) choice_.without.push_back(&outside_[level][from]);
    largest = false;
  }
  return choice_;
}

void Matcher::note_coming(int target, int chunk) {
  known_[target].insert(chunk);
  ++known_count_[target];
  ++copies_[chunk];
  for (std::size_t level = 0; level < inside_.size(); ++level) {
    const std::vector<int>& group = fabric_.group[level];
    inside_[level][group[target]].insert(chunk);
    for (int rank = 0; rank < fabric_.ranks(); ++rank)
      if (task_.tight_out[level][rank] && rank != group[target])
        outside_[level][rank].insert(chunk);
  }
}

// Leaves the links in way_, nearest the target first.
bool Matcher::find_way(int from, int rank, double rate) {
  if (from == fabric_.vertex[rank]) return true;
  seen_[from] = searches_;
  const std::vector<int>& distance = fabric_.distance[rank];
  const int first = fabric_.first_out[from], count = fabric_.first_out[from + 1] - first;
  const int turn = count > 1 ? static_cast<int>(random_() % static_cast<unsigned>(count)) : 0;
  for (int i = 0; i < count; ++i) {
    const int l = fabric_.out[first + (i + turn) % count];
    const Fabric::Link& link = fabric_.links[l];
    if (distance[link.target] < 0 || distance[link.target] != distance[from] - 1) continue;
    if (free_[l] < rate * (1 - 1e-9) || seen_[link.target] == searches_) continue;
    if (!find_way(link.target, rank, rate)) continue;
    way_.push_back(l);
    return true;
  }
  return false;
}

}  // namespace railwright::collectives
