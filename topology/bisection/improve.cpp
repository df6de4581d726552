#include <algorithm>
#include <queue>

#include "topology/bisection/search.hpp"

namespace railwright::topology {

namespace {

struct Candidate {
  double gain;
  int vertex;
  // Largest gain on top; ties to the lowest vertex.
  bool operator<(const Candidate& other) const {
    return gain != other.gain ? gain < other.gain : vertex > other.vertex;
  }
};

// One pass of Fiduccia and Mattheyses (DAC 1982), with real capacities and heaps for buckets.
class Pass {
 public:
  Pass(const CutGraph& graph, Sides& sides) : graph_(graph), sides_(sides) {
    gain_.assign(graph.vertices(), 0);
    locked_.assign(graph.vertices(), 0);
    for (const int a : graph.accelerators()) ++count_[static_cast<int>(sides[a])];
    half_ = std::min(count_[0], count_[1]);
    for (int v = 0; v < graph.vertices(); ++v) {
      for (auto n = graph.begin(v); n != graph.end(v); ++n)
        gain_[v] += sides[n->vertex] != sides[v] ? n->capacity : -n->capacity;
      queue_of(v).push({gain_[v], v});
    }
  }

  // The gain of the best prefix of moves, which is kept.
  double run() {
    double sum = 0, best = 0;
    std::size_t kept = 0;
    for (int vertex = pick(); vertex >= 0; vertex = pick()) {
      sum += gain_[vertex];
      move(vertex);
      moves_.push_back(vertex);
      const bool balanced = std::min(count_[0], count_[1]) >= half_;
      if (!balanced || sum <= best * (1 + 1e-12)) continue;
      best = sum;
      kept = moves_.size();
    }
    for (std::size_t i = kept; i < moves_.size(); ++i) sides_[moves_[i]] ^= 1;
    return best;
  }

 private:
  using Queue = std::priority_queue<Candidate>;
  // Two of accelerators, by side, and one of everything else, which moves freely.
  Queue& queue_of(int vertex) {
    return queues_[graph_.weighs(vertex) ? static_cast<int>(sides_[vertex]) : 2];
  }

  // Throws away entries that a move made out of date.
  const Candidate* top(int which) {
    Queue& queue = queues_[which];
    while (!queue.empty()) {
      const Candidate& c = queue.top();
      const bool current =
          !locked_[c.vertex] && gain_[c.vertex] == c.gain && &queue_of(c.vertex) == &queue;
      if (current) return &c;
      queue.pop();
    }
    return nullptr;
  }

  // Out of balance, a loss is worth taking only to get back into it.
  int pick() {
    const Candidate* best = top(2);
    if (best != nullptr && best->gain < 0 && std::min(count_[0], count_[1]) < half_) best = nullptr;
    for (const int side : {0, 1}) {
      if (count_[side] < count_[1 - side]) continue;
      const Candidate* candidate = top(side);
      if (candidate != nullptr && (best == nullptr || *best < *candidate)) best = candidate;
    }
    return best == nullptr ? -1 : best->vertex;
  }

  void move(int vertex) {
    locked_[vertex] = 1;
    if (graph_.weighs(vertex)) {
      --count_[static_cast<int>(sides_[vertex])];
      ++count_[1 - sides_[vertex]];
    }
    sides_[vertex] ^= 1;
    for (auto n = graph_.begin(vertex); n != graph_.end(vertex); ++n) {
      if (locked_[n->vertex]) continue;
      gain_[n->vertex] += sides_[n->vertex] != sides_[vertex] ? 2 * n->capacity : -2 * n->capacity;
      queue_of(n->vertex).push({gain_[n->vertex], n->vertex});
    }
  }

  const CutGraph& graph_;
  Sides& sides_;
  std::vector<double> gain_;
  std::vector<char> locked_;
  std::vector<int> moves_;
  Queue queues_[3];
  int count_[2] = {0, 0};
  int half_ = 0;
};

}  // namespace

void improve(const CutGraph& graph, Sides& sides, int passes) {
  for (int pass = 0; pass < passes; ++pass)
    if (Pass(graph, sides).run() <= 0) return;
}

}  // namespace railwright::topology
