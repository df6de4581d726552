#include <algorithm>
#include <cassert>
#include <map>
#include <queue>
#include <tuple>
#include <unordered_map>

#include "emulator/collective/medium.hpp"

namespace railwright::emulator {
namespace {

using collectives::Send;

struct TimedSend {
  Send send;
  int phase = 0;
  int route = 0;             // into routes
  int waits = 0;             // for so many arrivals and departures
  int next_on_channel = -1;  // waits for this one to leave
  int first_dependent = 0, dependents = 0;
};

// What waits for what, by the rule of schedule.hpp.
class Dependencies {
 public:
  explicit Dependencies(const collectives::Schedule& schedule);
  std::vector<TimedSend>& sends() { return sends_; }
  // Sends that wait for the arrival of `i`.
  auto dependents_of(int i) const {
    return std::pair{dependents_.begin() + sends_[i].first_dependent,
                     dependents_.begin() + sends_[i].first_dependent + sends_[i].dependents};
  }

 private:
  void add_step(int phase, std::int64_t step);
  void wait_for_chunks(int i);
  void wait_for_channel(int i);
  void note_arrival(int i);
  void sort_dependents();
  std::uint64_t cell(int rank, std::int64_t chunk) const {
    return static_cast<std::uint64_t>(rank) * chunks_ + static_cast<std::uint64_t>(chunk);
  }

  struct Arrival {
    int send, earlier;  // earlier: into arrivals_; -1: the first
  };
  const collectives::Schedule& schedule_;
  std::uint64_t chunks_;
  std::vector<TimedSend> sends_;
  std::vector<std::pair<int, int>> edges_;  // arrival of first -> start of second
  std::vector<int> dependents_;
  std::vector<Arrival> arrivals_;
  std::unordered_map<std::uint64_t, int> last_arrival_;  // looked up, never walked through
  std::map<std::pair<int, int>, int> last_on_channel_;   // by source and channel
  std::vector<int> seen_by_;                             // send -> the last that waits for it
};

Dependencies::Dependencies(const collectives::Schedule& schedule)
    : schedule_(schedule), chunks_(static_cast<std::uint64_t>(collectives::chunk_count(schedule))) {
  const auto phases = collectives::phases_of(schedule);
  for (std::size_t p = 0; p < phases.size(); ++p)
    for (std::int64_t step = 0; step < phases[p].steps; ++step) add_step(static_cast<int>(p), step);
  sort_dependents();
}

// A receive of the same step is no earlier receive, so arrivals are noted after all have looked.
void Dependencies::add_step(int phase, std::int64_t step) {
  const int first = static_cast<int>(sends_.size());
  for (int rank = 0; rank < schedule_.ranks; ++rank)
    for (const Send& send : collectives::sends_from(schedule_, rank, phase, step)) {
      sends_.push_back({});
      sends_.back().send = send;
      sends_.back().phase = phase;
    }
  const int end = static_cast<int>(sends_.size());
  seen_by_.resize(sends_.size(), -1);
  for (int i = first; i < end; ++i) {
    wait_for_chunks(i);
    wait_for_channel(i);
  }
  for (int i = first; i < end; ++i) note_arrival(i);
}

void Dependencies::wait_for_chunks(int i) {
  const Send& send = sends_[i].send;
  for (std::int64_t c = 0; c < send.chunks.count; ++c) {
    const auto found = last_arrival_.find(cell(send.source, send.chunks.first + c));
    if (found == last_arrival_.end()) continue;
    for (int a = found->second; a >= 0; a = arrivals_[a].earlier) {
      const int earlier = arrivals_[a].send;
      if (seen_by_[earlier] == i) continue;
      seen_by_[earlier] = i;
      edges_.push_back({earlier, i});
      ++sends_[i].waits;
    }
  }
}

void Dependencies::wait_for_channel(int i) {
  const Send& send = sends_[i].send;
  const auto [place, first] = last_on_channel_.try_emplace({send.source, send.channel}, i);
  if (first) return;
  sends_[place->second].next_on_channel = i;
  place->second = i;
  ++sends_[i].waits;
}

void Dependencies::note_arrival(int i) {
  const Send& send = sends_[i].send;
  for (std::int64_t c = 0; c < send.chunks.count; ++c) {
    const auto [place, first] =
        last_arrival_.try_emplace(cell(send.target, send.chunks.first + c), -1);
    arrivals_.push_back({i, place->second});
    place->second = static_cast<int>(arrivals_.size()) - 1;
  }
}

void Dependencies::sort_dependents() {
  for (const auto& [earlier, later] : edges_) ++sends_[earlier].dependents;
  int total = 0;
  for (TimedSend& send : sends_) {
    send.first_dependent = total;
    total += send.dependents;
    send.dependents = 0;
  }
  dependents_.resize(edges_.size());
  for (const auto& [earlier, later] : edges_) {
    TimedSend& send = sends_[earlier];
    dependents_[send.first_dependent + send.dependents++] = later;
  }
}

class StepRun {
 public:
  StepRun(const CollectiveRun& run, const topology::Router& router, Seconds software_latency,
          Medium& medium)
      : run_(run),
        router_(router),
        software_latency_(software_latency),
        medium_(medium),
        dependencies_(run.schedule) {}

  Instant execute();

 private:
  struct Arrival {
    Instant at;
    int send;
    auto operator<=>(const Arrival&) const = default;
  };

  void find_routes();
  void start(int i);
  void leave(int i);
  void release(int i) {
    if (--dependencies_.sends()[i].waits == 0) start(i);
  }
  std::optional<Instant> next() const;

  const CollectiveRun& run_;
  const topology::Router& router_;
  Seconds software_latency_;  // of one send
  Medium& medium_;
  Dependencies dependencies_;
  std::vector<topology::Route> routes_;
  std::map<TransferId, int> in_flight_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
  Instant now_;
};

// Channels of one pair may take different ways; their number is what ecmp_hash tells apart.
void StepRun::find_routes() {
  std::map<std::tuple<int, int, int>, int> known;
  for (TimedSend& timed : dependencies_.sends()) {
    const Send& send = timed.send;
    const auto [place, first] = known.try_emplace({send.source, send.target, send.channel},
                                                  static_cast<int>(routes_.size()));
    if (first)
      routes_.push_back(router_.between(run_.members[send.source], run_.members[send.target],
                                        static_cast<std::uint64_t>(send.channel)));
    timed.route = place->second;
  }
}

void StepRun::start(int i) {
  const TimedSend& timed = dependencies_.sends()[i];
  const Bytes bytes =
      collectives::bytes_of(run_.schedule, timed.send.chunks, run_.size, run_.element);
  Transfer transfer{routes_[timed.route].links, static_cast<double>(bytes.count)};
  in_flight_[medium_.start(std::move(transfer), now_)] = i;
}

void StepRun::leave(int i) {
  const TimedSend& timed = dependencies_.sends()[i];
  const Seconds latency = routes_[timed.route].latency + software_latency_;
  arrivals_.push({now_ + ceil_picoseconds(latency), i});
  if (timed.next_on_channel >= 0) release(timed.next_on_channel);
}

std::optional<Instant> StepRun::next() const {
  std::optional<Instant> next = medium_.next();
  if (!arrivals_.empty() && (!next || arrivals_.top().at < *next)) next = arrivals_.top().at;
  return next;
}

Instant StepRun::execute() {
  find_routes();
  const int count = static_cast<int>(dependencies_.sends().size());
  for (int i = 0; i < count; ++i)
    if (dependencies_.sends()[i].waits == 0) start(i);
  int arrived = 0;
  while (arrived < count) {
    const auto at = next();
    assert(at && "a schedule that waits for itself");
    now_ = *at;
    for (const TransferId id : medium_.advance_to(now_)) {
      leave(in_flight_.at(id));
      in_flight_.erase(id);
    }
    for (; !arrivals_.empty() && arrivals_.top().at == now_; ++arrived) {
      const auto [first, last] = dependencies_.dependents_of(arrivals_.top().send);
      arrivals_.pop();
      for (auto dependent = first; dependent != last; ++dependent) release(*dependent);
    }
    if (run_.progress) run_.progress(static_cast<double>(arrived) / count);
  }
  return now_;
}

}  // namespace

Instant run_steps(const CollectiveRun& run, const topology::Router& router,
                  Seconds software_latency, Medium& medium) {
  return StepRun(run, router, software_latency, medium).execute();
}

}  // namespace railwright::emulator
