#include <algorithm>
#include <cassert>
#include <map>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "collectives/turns.hpp"
#include "collectives/ways.hpp"
#include "emulator/collective/medium.hpp"

namespace railwright::emulator {
namespace {

using collectives::Send;

struct TimedSend {
  Send send;
  int flow = 0;
  int next_in_flow = -1;
  int next_on_channel = -1;  // waits for this one to leave
  int first_dependent = 0, dependents = 0;
};

// What moves as one: a send, or a bundle of them into or out of a switch.
struct Flow {
  int first_send = 0, last_send = 0;
  int waits = 0;  // for so many arrivals and departures
};

// What waits for what, by the rule of schedule.hpp.
class Dependencies {
 public:
  Dependencies(const collectives::Schedule& schedule, const topology::Graph& graph);
  std::vector<TimedSend>& sends() { return sends_; }
  std::vector<Flow>& flows() { return flows_; }
  // Sends that wait for `i` to leave a link that they fill, too.
  auto turns_after(int i) const { return turns_.equal_range(i); }
  // Sends that wait for the arrival of `i`.
  auto dependents_of(int i) const {
    return std::pair{dependents_.begin() + sends_[i].first_dependent,
                     dependents_.begin() + sends_[i].first_dependent + sends_[i].dependents};
  }

 private:
  void add_step(int phase, std::int64_t step);
  void add_send(const Send& send, std::map<collectives::Bundle, int>& bundles);
  void wait_for_chunks(int i);
  void wait_for_channel(int i);
  void wait_for_turns(int i);
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
  std::vector<Flow> flows_;
  std::vector<std::pair<int, int>> edges_;  // arrival of first -> start of second
  std::vector<int> dependents_;
  std::vector<Arrival> arrivals_;
  std::unordered_map<std::uint64_t, int> last_arrival_;  // looked up, never walked through
  std::map<std::pair<int, int>, int> last_on_channel_;   // by source and channel
  std::vector<int> seen_by_;                             // send -> the last that waits for it
  std::vector<std::vector<topology::LinkId>> filled_;    // by each route
  std::map<int, int> last_on_link_;                      // of those that fill it
  std::multimap<int, int> turns_;                        // send -> those that wait for it to leave
};

Dependencies::Dependencies(const collectives::Schedule& schedule, const topology::Graph& graph)
    : schedule_(schedule), chunks_(static_cast<std::uint64_t>(collectives::chunk_count(schedule))) {
  if (!schedule.forest.shares_links)
    for (const auto& route : schedule.forest.routes)
      filled_.push_back(collectives::filled_links(route, graph));
  const auto phases = collectives::phases_of(schedule);
  for (std::size_t p = 0; p < phases.size(); ++p)
    for (std::int64_t step = 0; step < phases[p].steps; ++step) add_step(static_cast<int>(p), step);
  sort_dependents();
}

// A receive of the same step is no earlier receive, so arrivals are noted after all have looked.
void Dependencies::add_step(int phase, std::int64_t step) {
  const int first = static_cast<int>(sends_.size());
  const int ends = schedule_.ranks + collectives::switch_count(schedule_);
  std::map<collectives::Bundle, int> bundles;  // their flows
  for (int source = 0; source < ends; ++source)
    for (const Send& send : collectives::sends_from(schedule_, source, phase, step))
      add_send(send, bundles);
  const int end = static_cast<int>(sends_.size());
  seen_by_.resize(sends_.size(), -1);
  for (int i = first; i < end; ++i) {
    wait_for_chunks(i);
    wait_for_channel(i);
    wait_for_turns(i);
  }
  for (int i = first; i < end; ++i) note_arrival(i);
}

void Dependencies::add_send(const Send& send, std::map<collectives::Bundle, int>& bundles) {
  const int i = static_cast<int>(sends_.size());
  int flow = static_cast<int>(flows_.size());
  if (const auto bundle = collectives::bundle_of(schedule_, send))
    flow = bundles.try_emplace(*bundle, flow).first->second;
  if (flow == static_cast<int>(flows_.size()))
    flows_.push_back({i, i, 0});
  else
    sends_[std::exchange(flows_[flow].last_send, i)].next_in_flow = i;
  sends_.push_back({});
  sends_.back().send = send;
  sends_.back().flow = flow;
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
      ++flows_[sends_[i].flow].waits;
    }
  }
}

void Dependencies::wait_for_channel(int i) {
  const Send& send = sends_[i].send;
  const auto [place, first] = last_on_channel_.try_emplace({send.source, send.channel}, i);
  const int flow = sends_[i].flow;
  if (first || sends_[place->second].flow == flow) return;  // a multicast leaves at once
  sends_[place->second].next_on_channel = i;
  place->second = i;
  ++flows_[flow].waits;
}

void Dependencies::wait_for_turns(int i) {
  const Send& send = sends_[i].send;
  if (send.route < 0 || filled_.empty()) return;
  for (const topology::LinkId link : filled_[send.route]) {
    const auto [place, first] = last_on_link_.try_emplace(link.index, i);
    if (first) continue;
    turns_.emplace(std::exchange(place->second, i), i);
    ++flows_[sends_[i].flow].waits;
  }
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
  StepRun(const CollectiveRun& run, const topology::Router& router,
          const topology::Calibration& calibration, Medium& medium)
      : run_(run),
        ways_(run.schedule, run.members, router, calibration),
        medium_(medium),
        dependencies_(run.schedule, router.cluster().graph) {}

  Instant execute();

 private:
  struct Arrival {
    Instant at;
    int send;
    auto operator<=>(const Arrival&) const = default;
  };

  void start(int flow);
  void leave(int flow);
  void release(int send) {
    const int flow = dependencies_.sends()[send].flow;
    if (--dependencies_.flows()[flow].waits == 0) start(flow);
  }
  const topology::Route& route_of(const Send& send);
  std::optional<Instant> next() const;

  const CollectiveRun& run_;
  collectives::Ways ways_;
  Medium& medium_;
  Dependencies dependencies_;
  // By ends, channel and Send::route: channels of one pair may take different ways, for their
  // number is what ecmp_hash tells apart.
  std::map<std::tuple<int, int, int, int>, topology::Route> routes_;
  std::map<TransferId, int> in_flight_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
  Instant now_;
};

const topology::Route& StepRun::route_of(const Send& send) {
  const auto [place, first] =
      routes_.try_emplace({send.source, send.target, send.channel, send.route});
  if (first) place->second = ways_.of(send);
  return place->second;
}

void StepRun::start(int flow) {
  const int first = dependencies_.flows()[flow].first_send;
  const auto& sends = dependencies_.sends();
  const Bytes bytes =
      collectives::bytes_of(run_.schedule, sends[first].send.chunks, run_.size, run_.element);
  Transfer transfer{{}, static_cast<double>(bytes.count)};
  if (run_.schedule.forest.shares_links) transfer.share = std::max(1.0, transfer.bytes);
  if (sends[first].next_in_flow < 0) {
    transfer.consumption = route_of(sends[first].send).links;
  } else {
    std::vector<topology::Route> ways;
    for (int i = first; i >= 0; i = sends[i].next_in_flow) ways.push_back(route_of(sends[i].send));
    transfer.consumption = collectives::merged(ways).links;
  }
  in_flight_[medium_.start(std::move(transfer), now_)] = flow;
}

void StepRun::leave(int flow) {
  const auto& sends = dependencies_.sends();
  for (int i = dependencies_.flows()[flow].first_send; i >= 0; i = sends[i].next_in_flow) {
    const Send& send = sends[i].send;
    const Seconds latency = route_of(send).latency + ways_.software_latency(send);
    arrivals_.push({now_ + ceil_picoseconds(latency), i});
    if (sends[i].next_on_channel >= 0) release(sends[i].next_on_channel);
    const auto [first, last] = dependencies_.turns_after(i);
    for (auto turn = first; turn != last; ++turn) release(turn->second);
  }
}

std::optional<Instant> StepRun::next() const {
  std::optional<Instant> next = medium_.next();
  if (!arrivals_.empty() && (!next || arrivals_.top().at < *next)) next = arrivals_.top().at;
  return next;
}

Instant StepRun::execute() {
  const int count = static_cast<int>(dependencies_.sends().size());
  const int flows = static_cast<int>(dependencies_.flows().size());
  for (int flow = 0; flow < flows; ++flow)
    if (dependencies_.flows()[flow].waits == 0) start(flow);
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
                  const topology::Calibration& calibration, Medium& medium) {
  return StepRun(run, router, calibration, medium).execute();
}

}  // namespace railwright::emulator
