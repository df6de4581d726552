#include "collectives/synthesis/matching.hpp"

#include "collectives/synthesis/matcher.hpp"

namespace railwright::collectives {

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
  const double lacking = all_chunks() - known;
  return known > held_count_[target.rank] && 1 / target.rate > lacking / inflow_[target.rank];
}

bool Matcher::wanted(const Port& port, const Port::Target& target, Urgency urgency) {
  if (held_count_[port.rank] == 0 || known_count_[target.rank] == all_chunks()) return false;
  const double least = target.rate * (1 - 1e-9);
  if (free_[port.link] < least || (target.last >= 0 && free_[target.last] < least)) return false;
  if (urgency == Urgency::fresh ? target.slow : comes_too_late(target)) return false;
  matching_.looks += static_cast<std::int64_t>(held_[port.rank].words());
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

Matching matching_of(const Fabric& fabric, const MatchingTask& task) {
  return Matcher(fabric, task).run();
}

}  // namespace railwright::collectives
