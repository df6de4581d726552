#include <algorithm>
#include <map>
#include <tuple>

#include "collectives/cost.hpp"
#include "collectives/maker.hpp"
#include "collectives/phase_latency.hpp"
#include "collectives/ways.hpp"

namespace railwright::collectives {
namespace {

using topology::LinkId;
using topology::LinkShare;
using topology::Route;

// A send of a phase and the bytes that it moves in a step, on average, over those of the largest.
struct Connection {
  int source = 0, target = 0, channel = 0, route = -1;
  int sample = 0, bundle = -1;  // bundle: into Pattern::bundles; -1: on its own
  double weight = 1;
  bool waits = true;  // shows its latency
  bool operator==(const Connection&) const = default;
};

struct Pattern {
  std::int64_t steps = 0;
  std::vector<Sample> samples;
  std::vector<Connection> connections;
  std::vector<std::pair<int, Bundle>> bundles;  // with their sample
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

constexpr std::int64_t most_looks = 1 << 20;  // at steps of ranks

class Loads {
 public:
  Loads(const Schedule& schedule, Bytes size, const std::vector<topology::AcceleratorId>& members,
        const topology::Router& router, const topology::Calibration& calibration)
      : schedule_(schedule),
        maker_(maker_of(schedule)),
        size_(size),
        graph_(router.cluster().graph),
        ways_(schedule, members, router, calibration) {}

  std::vector<PhaseLoad> all() {
    const std::vector<Phase> phases = phases_of(schedule_);
    std::vector<PhaseLoad> loads;
    for (std::size_t i = 0; i < phases.size(); ++i)
      loads.push_back(load_of(phases[i], static_cast<int>(i)));
    return loads;
  }

 private:
  std::vector<Sample> samples_of(const Phase& phase, int index) const {
    if (maker_.samples) return maker_.samples(schedule_, index);
    return {{maker_.busiest_step(schedule_, index), phase.steps}};
  }

  Pattern pattern_of(const Phase& phase, int index) const {
    Pattern pattern{phase.steps, samples_of(phase, index), {}, {}};
    const int ends = schedule_.ranks + maker_.switch_count(schedule_);
    std::vector<Send> sends;
    std::map<std::pair<int, Bundle>, int> bundles;
    for (int i = 0; i < static_cast<int>(pattern.samples.size()); ++i)
      for (int end = 0; end < ends; ++end) {
        sends.clear();
        maker_.sends(schedule_, end, index, pattern.samples[i].step, true, sends);
        for (const Send& send : sends) add_connection(send, index, i, bundles, pattern);
      }
    return pattern;
  }

  void add_connection(const Send& send, int phase, int sample,
                      std::map<std::pair<int, Bundle>, int>& bundles, Pattern& pattern) const {
    const auto bytes = static_cast<double>(largest_bytes(schedule_, send.chunks.count, size_));
    const auto steps = static_cast<double>(pattern.samples[sample].steps);
    Connection connection{send.source,
                          send.target,
                          send.channel,
                          send.route,
                          sample,
                          -1,
                          bytes * steps / static_cast<double>(pattern.steps)};
    if (const auto bundle = bundle_of(schedule_, send)) {
      const auto count = static_cast<int>(pattern.bundles.size());
      const auto [place, first] = bundles.try_emplace({sample, *bundle}, count);
      if (first) pattern.bundles.push_back(place->first);
      connection.bundle = place->second;
    }
    if (maker_.waits) connection.waits = maker_.waits(schedule_, phase, send);
    pattern.connections.push_back(connection);
  }

  // Makes weights relative to the largest, which it returns.
  static double take_largest(Pattern& pattern) {
    double largest = 0;
    for (const Connection& c : pattern.connections) largest = std::max(largest, c.weight);
    for (Connection& c : pattern.connections) c.weight = largest > 0 ? c.weight / largest : 1;
    return largest;
  }

  // An all-gather goes the ways of the reduce-scatter again: routes are not asked for twice.
  PhaseLoad load_of(const Phase& phase, int index) {
    PhaseLoad load = load_by_samples(phase, index);
    const bool told = phase.stationary || phase.steps == 1 || maker_.samples;
    if (!told && phase.steps * schedule_.ranks <= most_looks && load.bytes_per_step > 0)
      raise(load.consumption, means_of(phase, index, load.bytes_per_step));
    return load;
  }

  // What every link carries per step on average over all steps of a phase: the busiest step may
  // leave out a link that is slower than all that it uses.
  std::vector<LinkShare> means_of(const Phase& phase, int index, double bytes_per_step) const {
    std::map<std::tuple<int, int, int, int>, double> bytes;
    std::vector<Send> sends;
    for (std::int64_t step = 0; step < phase.steps; ++step)
      for (int rank = 0; rank < schedule_.ranks; ++rank) {
        sends.clear();
        maker_.sends(schedule_, rank, index, step, true, sends);
        for (const Send& send : sends)
          bytes[{send.source, send.target, send.channel, send.route}] +=
              static_cast<double>(largest_bytes(schedule_, send.chunks.count, size_));
      }
    LinkSum sum(static_cast<std::size_t>(graph_.links()), bytes.size());
    const double all = bytes_per_step * static_cast<double>(phase.steps);
    for (const auto& [key, moved] : bytes) {
      const auto& [source, target, channel, route] = key;
      const Send send{source, target, {}, Action::copy, channel, route};
      sum.add(ways_.of(send), moved / all);
    }
    return std::move(sum).take();
  }

  static void raise(std::vector<LinkShare>& consumption, const std::vector<LinkShare>& means) {
    Route both{consumption, {}};
    consumption = merged({both, Route{means, {}}}).links;
  }

  PhaseLoad load_by_samples(const Phase& phase, int index) {
    Pattern pattern = pattern_of(phase, index);
    const double bytes = take_largest(pattern);
    std::size_t known = 0;
    while (known < seen_.size() && seen_[known] != pattern) ++known;
    if (known == seen_.size()) {
      routed_.push_back(route(pattern));
      seen_.push_back(std::move(pattern));
    }
    PhaseLoad load = routed_[known];
    load.bytes_per_step = bytes;
    const auto waiting = static_cast<double>(maker_.waiting_steps(schedule_, index, phase.steps));
    load.step_latency = waiting / static_cast<double>(phase.steps) * load.step_latency;
    load.software_latency = waiting / static_cast<double>(phase.steps) * load.software_latency;
    load.stationary = phase.stationary;
    return load;
  }

  PhaseLoad route(const Pattern& pattern) const {
    LinkSum sum(static_cast<std::size_t>(graph_.links()), pattern.connections.size());
    std::vector<std::vector<Route>> bundles(pattern.bundles.size());
    std::vector<double> weights(pattern.bundles.size(), 0);
    PhaseLatency latency(pattern.steps, pattern.samples, schedule_.ranks);
    PhaseLoad load;
    for (const Connection& c : pattern.connections) {
      const Send send{c.source, c.target, {}, Action::copy, c.channel, c.route};
      Route way = ways_.of(send);
      if (c.waits) {
        const Seconds software = ways_.software_latency(send);
        load.software_latency = std::max(load.software_latency, software);
        latency.add(send, static_cast<std::size_t>(c.sample), way.latency + software);
      }
      if (c.bundle < 0) {
        sum.add(way, c.weight);
      } else {
        weights[c.bundle] = c.weight;
        bundles[c.bundle].push_back(std::move(way));
      }
    }
    for (std::size_t i = 0; i < bundles.size(); ++i) sum.add(merged(bundles[i]), weights[i]);
    load.steps = pattern.steps;
    load.consumption = std::move(sum).take();
    load.step_latency = latency.per_step();
    return load;
  }

  const Schedule& schedule_;
  const Maker& maker_;
  Bytes size_;
  const topology::Graph& graph_;
  Ways ways_;
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
