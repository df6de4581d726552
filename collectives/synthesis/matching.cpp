#include "collectives/synthesis/matching.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <queue>
#include <random>
#include <tuple>

namespace railwright::collectives {

namespace {

// A set of chunks.
class Chunks {
 public:
  explicit Chunks(std::size_t count) : words_((count + 63) / 64, 0) {}
  void insert(int c) { words_[c / 64] |= std::uint64_t{1} << (c % 64); }
  bool contains(int c) const { return (words_[c / 64] >> (c % 64) & 1) != 0; }
  std::size_t words() const { return words_.size(); }
  std::uint64_t word(std::size_t i) const { return words_[i]; }

 private:
  std::vector<std::uint64_t> words_;
};

// What one rank may send to another: what it holds and none of `without` has.
struct Choice {
  const Chunks* held = nullptr;
  std::vector<const Chunks*> without;

  std::uint64_t word(std::size_t i) const {
    std::uint64_t word = held->word(i);
    for (const Chunks* chunks : without) word &= ~chunks->word(i);
    return word;
  }
  bool empty() const {
    for (std::size_t i = 0; i < held->words(); ++i)
      if (word(i) != 0) return false;
    return true;
  }
};

// A first link of a rank, the ranks behind it and the rate at which each can be reached.
struct Port {
  struct Target {
    int rank = 0;
    double rate = 0;
    int last = -1;      // the link into it that all its ways end with; -1 where they differ
    bool near = false;  // one switch lies between
    int apart = 0;      // levels of groups that do not hold both ends
    bool slow = false;  // another port reaches it much faster
  };
  int rank = 0, link = 0;
  std::vector<Target> targets;
};

// What goes before what.
enum class Urgency : std::uint8_t { fresh, useful };

class Matcher {
 public:
  Matcher(const Fabric& fabric, const MatchingTask& task);
  Matching run();

 private:
  struct Event {
    std::int64_t at;
    int send;
    bool arrives;  // else: leaves
    auto operator<=>(const Event&) const = default;
  };
  struct Candidate {
    int held, order;
    Port::Target target;
    // The farthest comes first, for few ways lead there; then the target that has least.
    bool operator<(const Candidate& other) const {
      return std::tuple(-target.apart, held, order) <
             std::tuple(-other.target.apart, other.held, other.order);
    }
  };

  void add_ports();
  double widest(int from, int rank) const;
  int last_link(int from, int rank) const;
  int levels_apart(int one, int other) const;
  bool find_way(int from, int rank, double rate);
  void mark_slow();
  bool wanted(const Port& port, const Port::Target& target, Urgency urgency);
  bool comes_too_late(const Port::Target& target) const;
  bool try_port(const Port& port, Urgency urgency);
  void match_switches(Urgency urgency);
  bool augment(std::size_t port);
  const Choice& choice_of(int source, int target, Urgency urgency);
  int chosen_chunk(const Choice& choice);
  void note_coming(int target, int chunk);
  void start(const Port& port, const Port::Target& target, int chunk);
  void pass(const Event& event);
  void fill();

  const Fabric& fabric_;
  const MatchingTask& task_;
  std::mt19937_64 random_;
  std::vector<Port> ports_;
  std::vector<double> free_;          // rate of each link that is not taken
  std::vector<Chunks> held_, known_;  // arrived; and on their way
  // Known in each group and outside of it, by level and first rank.
  std::vector<std::vector<Chunks>> inside_, outside_;
  std::vector<double> inflow_;  // bytes/s into each rank
  Choice choice_;
  std::vector<int> known_count_, held_count_, copies_;
  std::vector<int> way_;
  std::vector<int> seen_;  // vertex -> last search
  int searches_ = 0;
  std::vector<Candidate> candidates_;
  // Of the matching over single switches: what each port could take, who has each link.
  std::vector<std::vector<Candidate>> options_;
  std::vector<std::pair<int, const Candidate*>> taken_;  // port, by link
  std::vector<int> tried_;                               // link -> last search
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t now_ = 0, window_ = 0;
  Matching matching_;
};

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

// The rarest, from a random place on.
int Matcher::chosen_chunk(const Choice& choice) {
  const auto turn = static_cast<int>(random_() % copies_.size());
  int best = -1;
  bool best_after = false;
  for (std::size_t i = 0; i < choice.held->words(); ++i)
    for (std::uint64_t rest = choice.word(i); rest != 0; rest &= rest - 1) {
      const int c = static_cast<int>(64 * i) + std::countr_zero(rest);
      const bool after = c >= turn;
      const int rarer = best >= 0 ? copies_[best] - copies_[c] : 0;
      if (best >= 0 && (rarer < 0 || (rarer == 0 && (best_after || !after)))) continue;
      best = c;
      best_after = after;
    }
  return best;
}

// Whether the target, which is waiting for others, would have all it lacks sooner without this way.
bool Matcher::comes_too_late(const Port::Target& target) const {
  const int known = known_count_[target.rank];
  const auto lacking = static_cast<double>(copies_.size()) - known;
  return known > held_count_[target.rank] && 1 / target.rate > lacking / inflow_[target.rank];
}

bool Matcher::wanted(const Port& port, const Port::Target& target, Urgency urgency) {
  const double least = target.rate * (1 - 1e-9);
  if (free_[port.link] < least || (target.last >= 0 && free_[target.last] < least)) return false;
  if (urgency == Urgency::fresh ? target.slow : comes_too_late(target)) return false;
  return !choice_of(port.rank, target.rank, urgency).empty();
}

bool Matcher::try_port(const Port& port, Urgency urgency) {
  candidates_.clear();
  for (const Port::Target& target : port.targets)
    if (wanted(port, target, urgency))
      candidates_.push_back({known_count_[target.rank], static_cast<int>(random_() >> 33), target});
  std::ranges::sort(candidates_, std::less{});
  for (const Candidate& candidate : candidates_) {
    const Port::Target& target = candidate.target;
    way_.clear();
    ++searches_;
    if (!find_way(fabric_.links[port.link].target, target.rank, target.rate)) continue;
    start(port, target, chosen_chunk(choice_of(port.rank, target.rank, urgency)));
    return true;
  }
  return false;
}

// Moves other ports on until one of the links that this one can take is free.
bool Matcher::augment(std::size_t port) {
  for (const Candidate& option : options_[port]) {
    const int link = option.target.last;
    if (tried_[link] == searches_) continue;
    tried_[link] = searches_;
    const int other = taken_[link].first;
    if (other >= 0 && !augment(static_cast<std::size_t>(other))) continue;
    taken_[link] = {static_cast<int>(port), &option};
    return true;
  }
  return false;
}

// As many pairs of ports of a switch as can be busy at once (Kuhn's augmenting paths).
void Matcher::match_switches(Urgency urgency) {
  options_.assign(ports_.size(), {});
  for (std::size_t p = 0; p < ports_.size(); ++p)
    for (const Port::Target& target : ports_[p].targets) {
      if (!target.near || target.last < 0 || !wanted(ports_[p], target, urgency)) continue;
      taken_[target.last] = {-1, nullptr};
      options_[p].push_back({known_count_[target.rank], static_cast<int>(random_() >> 33), target});
    }
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    std::ranges::sort(options_[p], std::less{});
    ++searches_;
    augment(p);
  }
  for (std::size_t p = 0; p < ports_.size(); ++p)
    for (const Candidate& option : options_[p]) {
      if (taken_[option.target.last].second != &option) continue;
      const Choice& choice = choice_of(ports_[p].rank, option.target.rank, urgency);
      if (choice.empty()) break;  // the last of it has just gone to another rank
      way_ = {option.target.last};
      start(ports_[p], option.target, chosen_chunk(choice));
    }
}

void Matcher::start(const Port& port, const Port::Target& target, int chunk) {
  way_.push_back(port.link);
  std::ranges::reverse(way_);
  double latency = task_.software_latency;
  for (const int l : way_) {
    free_[l] -= target.rate;
    latency += fabric_.links[l].latency;
  }
  const double busy = task_.chunk_bytes / target.rate;
  const auto picoseconds = [](double s) { return static_cast<std::int64_t>(std::ceil(s * 1e12)); };
  const std::int64_t arrival = now_ + picoseconds(busy + latency);
  const std::int64_t left = task_.latency_occupies ? arrival : now_ + picoseconds(busy);
  const int index = static_cast<int>(matching_.sends.size());
  matching_.sends.push_back({port.rank, target.rank, chunk, now_, left, arrival, way_});
  events_.push({left, index, false});
  events_.push({arrival, index, true});
  note_coming(target.rank, chunk);
}

void Matcher::pass(const Event& event) {
  const MatchedSend& send = matching_.sends[event.send];
  if (event.arrives) {
    held_[send.target].insert(send.chunk);
    ++held_count_[send.target];
    matching_.time = std::max(matching_.time, event.at);
    return;
  }
  double rate = INFINITY;
  for (const int l : send.way) rate = std::min(rate, fabric_.links[l].rate);
  for (const int l : send.way) free_[l] += rate;
}

void Matcher::fill() {
  for (std::size_t i = ports_.size(); i > 1; --i) std::swap(ports_[i - 1], ports_[random_() % i]);
  for (const Urgency urgency : {Urgency::fresh, Urgency::useful}) {
    match_switches(urgency);
    for (const Port& port : ports_)
      while (try_port(port, urgency)) {
      }
  }
}

Matching Matcher::run() {
  fill();
  while (!events_.empty()) {
    const std::int64_t until = events_.top().at + window_;
    while (!events_.empty() && events_.top().at <= until) {
      now_ = events_.top().at;
      pass(events_.top());
      events_.pop();
    }
    fill();
  }
  matching_.complete = matching_.sends.size() == task_.owner.size() * (held_.size() - 1);
  return std::move(matching_);
}

}  // namespace

Matching matching_of(const Fabric& fabric, const MatchingTask& task) {
  return Matcher(fabric, task).run();
}

}  // namespace railwright::collectives
