#include <algorithm>
#include <limits>
#include <numeric>

#include "collectives/cost.hpp"
#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

using topology::LinkId;
using topology::LinkShare;
using topology::Route;

// A pair that exchanges data in a phase; `weight` = its bytes over those of the largest.
struct Connection {
  int source = 0, target = 0, channel = 0;
  double weight = 1;
  bool operator==(const Connection&) const = default;
};

struct Pattern {
  std::int64_t steps = 0;
  std::vector<Connection> connections;
  bool operator==(const Pattern&) const = default;
};

// Sums loads per link: by sorting while the phase touches few links of the graph, in an array of
// all links when it touches many.
class LinkSum {
 public:
  LinkSum(std::size_t links, std::size_t connections) {
    constexpr std::size_t hops = 8;
    if (connections * hops >= links) dense_.assign(links, 0);
  }

  void add(const Route& route, double weight) {
    for (const LinkShare& use : route.links) {
      if (dense_.empty())
        sparse_.push_back({use.link, use.share * weight});
      else
        dense_[use.link.index] += use.share * weight;
    }
  }

  std::vector<LinkShare> take() && { return dense_.empty() ? merged() : nonzero(); }

 private:
  std::vector<LinkShare> merged() {
    std::ranges::stable_sort(sparse_, {}, &LinkShare::link);
    std::vector<LinkShare> sums;
    for (const LinkShare& use : sparse_) {
      if (sums.empty() || sums.back().link != use.link) sums.push_back({use.link, 0});
      sums.back().share += use.share;
    }
    return sums;
  }
  std::vector<LinkShare> nonzero() const {
    std::vector<LinkShare> sums;
    for (std::size_t link = 0; link < dense_.size(); ++link)
      if (dense_[link] > 0) sums.push_back({LinkId{static_cast<int>(link)}, dense_[link]});
    return sums;
  }

  std::vector<LinkShare> sparse_;
  std::vector<double> dense_;
};

// Latency of a phase whose connections form rings, each of which does one step less than it has
// hops. The last chunk to arrive has crossed all hops of its ring but one, in the worst case the
// fastest one: the sum over the other hops, spread over the steps. This is the cycle mean of the
// timed event graph of the ring (Baccelli, Cohen, Olsder, Quadrat: Synchronization and Linearity,
// 1992, section 2.3) for hops of one bandwidth; docs/collectives.md bounds the error for others.
class RingLatency {
 public:
  RingLatency(const Pattern& pattern, int ranks, const std::vector<Seconds>& latency)
      : pattern_(pattern), ranks_(ranks), latency_(latency) {
    int channels = 0;
    for (const Connection& c : pattern.connections) channels = std::max(channels, c.channel + 1);
    leaving_.assign(static_cast<std::size_t>(channels) * ranks, none);
    for (std::size_t i = 0; i < pattern.connections.size(); ++i)
      leaving(pattern.connections[i].source, pattern.connections[i].channel) = i;
  }

  Seconds slowest() {
    Seconds slowest;
    for (std::size_t i = 0; i < pattern_.connections.size(); ++i)
      slowest = std::max(slowest, follow(i));
    return slowest;
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  std::size_t& leaving(int source, int channel) {
    return leaving_[static_cast<std::size_t>(channel) * ranks_ + source];
  }

  // Takes the hops from connection `first` on out of the table; the mean latency per step.
  Seconds follow(std::size_t first) {
    const Connection& start = pattern_.connections[first];
    if (leaving(start.source, start.channel) == none) return {};
    Seconds sum, fastest = latency_[first];
    int hops = 0, at = start.source;
    for (std::size_t i = first; i != none; i = leaving(at, start.channel)) {
      leaving(at, start.channel) = none;
      at = pattern_.connections[i].target;
      sum += latency_[i];
      fastest = std::min(fastest, latency_[i]);
      ++hops;
    }
    assert(at == start.source && hops - 1 == pattern_.steps);
    return 1.0 / (hops - 1) * (sum - fastest);
  }

  const Pattern& pattern_;
  int ranks_;
  const std::vector<Seconds>& latency_;
  std::vector<std::size_t> leaving_;  // connection by channel and source
};

Seconds mean(const std::vector<Seconds>& latency) {
  const Seconds sum = std::accumulate(latency.begin(), latency.end(), Seconds{});
  return 1.0 / static_cast<double>(latency.size()) * sum;
}

class Loads {
 public:
  Loads(const Schedule& schedule, Bytes size, const std::vector<topology::AcceleratorId>& members,
        const topology::Router& router, const topology::Calibration& calibration)
      : schedule_(schedule), size_(size), members_(members), router_(router) {
    software_ = software_latency(calibration);
  }

  std::vector<PhaseLoad> all() {
    const std::vector<Phase> phases = phases_of(schedule_);
    std::vector<PhaseLoad> loads;
    for (std::size_t i = 0; i < phases.size(); ++i)
      loads.push_back(load_of(phases[i], static_cast<int>(i)));
    return loads;
  }

 private:
  // Fills `pattern` and returns the bytes of the largest connection.
  double connections_of(int phase, Pattern& pattern) const {
    const Maker& maker = maker_of(schedule_.algorithm);
    const std::int64_t step = maker.busiest_step(schedule_, phase);
    std::vector<Send> sends;
    double largest = 0;
    for (int rank = 0; rank < schedule_.ranks; ++rank) {
      sends.clear();
      maker.sends_from(schedule_, rank, phase, step, sends);
      for (const Send& send : sends) {
        const auto bytes = static_cast<double>(largest_bytes(schedule_, send.chunks.count, size_));
        pattern.connections.push_back({send.source, send.target, send.channel, bytes});
        largest = std::max(largest, bytes);
      }
    }
    for (Connection& c : pattern.connections) c.weight = largest > 0 ? c.weight / largest : 1;
    return largest;
  }

  // An all-gather goes the ways of the reduce-scatter again: routes are not asked for twice.
  PhaseLoad load_of(const Phase& phase, int index) {
    Pattern pattern{phase.steps, {}};
    const double bytes = connections_of(index, pattern);
    std::size_t known = 0;
    while (known < seen_.size() && seen_[known] != pattern) ++known;
    if (known == seen_.size()) {
      routed_.push_back(route(pattern));
      seen_.push_back(std::move(pattern));
    }
    PhaseLoad load = routed_[known];
    load.bytes_per_step = bytes;
    const auto waiting = static_cast<double>(
        maker_of(schedule_.algorithm).waiting_steps(schedule_, index, phase.steps));
    load.step_latency = waiting / static_cast<double>(phase.steps) * load.step_latency;
    load.software_latency = waiting / static_cast<double>(phase.steps) * load.software_latency;
    load.stationary = phase.stationary;
    return load;
  }

  PhaseLoad route(const Pattern& pattern) const {
    LinkSum sum(static_cast<std::size_t>(router_.cluster().graph.links()),
                pattern.connections.size());
    std::vector<Seconds> latency;
    latency.reserve(pattern.connections.size());
    for (const Connection& c : pattern.connections) {
      const auto source = members_[c.source], target = members_[c.target];
      const Route way = router_.between(source, target, static_cast<std::uint64_t>(c.channel));
      assert((source == target || !way.empty()) && "no route between two members");
      sum.add(way, c.weight);
      latency.push_back(way.latency);
    }
    PhaseLoad load;
    load.steps = pattern.steps;
    load.consumption = std::move(sum).take();
    load.step_latency = software_ + link_latency(pattern, latency);
    load.software_latency = software_;
    return load;
  }

  Seconds link_latency(const Pattern& pattern, const std::vector<Seconds>& latency) const {
    if (latency.empty()) return {};
    if (pattern.steps == 1) return *std::ranges::max_element(latency);
    if (schedule_.operation == Operation::broadcast) return mean(latency);  // an open chain
    return RingLatency(pattern, schedule_.ranks, latency).slowest();
  }

  const Schedule& schedule_;
  Bytes size_;
  const std::vector<topology::AcceleratorId>& members_;
  const topology::Router& router_;
  Seconds software_;
  std::vector<Pattern> seen_;
  std::vector<PhaseLoad> routed_;  // of each pattern seen
};

}  // namespace

Seconds software_latency(const topology::Calibration& calibration) {
  return seconds(calibration.value_or("library:nccl", "software_latency", 0));
}

std::vector<PhaseLoad> phase_loads(const Schedule& schedule, Bytes size,
                                   const std::vector<topology::AcceleratorId>& members,
                                   const topology::Router& router,
                                   const topology::Calibration& calibration) {
  assert(static_cast<int>(members.size()) == schedule.ranks);
  return Loads(schedule, size, members, router, calibration).all();
}

}  // namespace railwright::collectives
