#include "collectives/phase_loads/phase_terms.hpp"

#include <bit>
#include <map>
#include <tuple>

#include "collectives/maker.hpp"
#include "collectives/phase_loads/repeats.hpp"
#include "collectives/ways.hpp"

namespace railwright::collectives {
namespace {

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

// What was found of a pattern.
struct Traced {
  int pattern = 0;  // of LinkLoads
  Seconds step_latency, software_latency;
};

constexpr std::int64_t most_looks = 1 << 17;        // at steps of ranks
constexpr std::size_t most_remembered = 1'000'000;  // connections

class Terms {
 public:
  Terms(const Schedule& schedule, Bytes size, const std::vector<topology::AcceleratorId>& members,
        const topology::Router& router, const topology::Calibration& calibration, LinkLoads& links,
        TracedLayers& layers, AlikePeriods* alike)
      : schedule_(schedule),
        maker_(maker_of(schedule)),
        size_(size),
        tells_channels_(router.cluster().spec.routing.mode == topology::RoutingMode::ecmp_hash),
        ways_(schedule, members, router, calibration),
        software_(software_latency(calibration, router.cluster())),
        links_(links),
        layers_(layers),
        alike_(alike),
        repeats_(alike == nullptr ? Repeats::among(members, router) : std::nullopt) {}

  std::vector<PhaseTerms> all() {
    const std::vector<Phase> phases = phases_of(schedule_);
    std::vector<PhaseTerms> terms;
    for (std::size_t i = 0; i < phases.size(); ++i)
      terms.push_back(of_phase(phases[i], static_cast<int>(i)));
    return terms;
  }

 private:
  PhaseTerms of_phase(const Phase& phase, int index) {
    const auto layers = maker_.layers ? maker_.layers(schedule_, index) : std::vector<Layer>{};
    PhaseTerms terms = layers.empty() ? by_sends(phase, index) : by_layers(phase, index, layers);
    PhaseLoad& load = terms.load;
    const bool told = phase.stationary || phase.steps == 1 || maker_.samples;
    if (!told && phase.steps * schedule_.ranks <= most_looks && load.bytes_per_step > 0)
      terms.least = means_of(phase, index, load.bytes_per_step);
    load.steps = phase.steps;
    load.stationary = phase.stationary;
    const auto waiting = static_cast<double>(maker_.waiting_steps(schedule_, index, phase.steps));
    load.step_latency = waiting / static_cast<double>(phase.steps) * load.step_latency;
    load.software_latency = waiting / static_cast<double>(phase.steps) * load.software_latency;
    return terms;
  }

  // ---- in layers

  PhaseTerms by_layers(const Phase& phase, int index, const std::vector<Layer>& layers) {
    const std::vector<Sample> samples = samples_of(schedule_, index, phase.steps);
    const auto bytes_of = [&](const Layer& layer) {
      const auto steps = static_cast<double>(samples[static_cast<std::size_t>(layer.sample)].steps);
      return static_cast<double>(largest_bytes(schedule_, layer.chunks, size_)) * steps /
             static_cast<double>(phase.steps);
    };
    PhaseTerms terms;
    double& largest = terms.load.bytes_per_step;
    for (const Layer& layer : layers) largest = std::max(largest, bytes_of(layer));
    PhaseLatency latency(phase.steps, samples);
    for (const Layer& layer : layers) {
      const TracedLayer& traced = traced_layer(layer);
      terms.terms.push_back({traced.pattern, largest > 0 ? bytes_of(layer) / largest : 1});
      if (!layer.waits) continue;
      terms.load.software_latency = software_;
      for (const auto& [channel, hops] : traced.channels)
        latency.add(layer.channel + channel, layer.sample, hops);
    }
    terms.load.step_latency = latency.per_step();
    return terms;
  }

  // Only a hash tells equal connections on different channels apart.
  const TracedLayer& traced_layer(const Layer& layer) {
    const int channel = tells_channels_ ? layer.channel : 0;
    const auto [place, first] = layers_.try_emplace({layer.pattern, channel});
    if (first) place->second = trace_layer(layer);
    return place->second;
  }

  TracedLayer trace_layer(const Layer& layer) {
    if (!hops_) hops_.emplace(schedule_.ranks, true);
    TracedLayer traced;
    if (repeats_) {
      repeats_->begin_pattern();
      traced.channels = trace_hops(layer, &*repeats_);
      if (!repeats_->end_pattern(links_)) {
        links_.drop();
        traced.channels.clear();
      }
    }
    if (alike_ != nullptr && alike_->known != nullptr)
      traced.channels = trace_as_known(layer, *alike_->known);
    if (traced.channels.empty()) traced.channels = trace_hops(layer, nullptr);
    traced.pattern = links_.close();
    return traced;
  }

  // As a group made them to whose ranks the same happens, where what is told takes as long as it
  // did there.
  std::vector<std::pair<int, HopSummary>> trace_as_known(const Layer& layer, KnownHops& hops) {
    const auto [place, first] = hops.layers.try_emplace({layer.pattern, layer.channel});
    KnownHops::Layer& known = place->second;
    std::size_t told = 0;
    bool same = true;
    maker_.connections(schedule_, layer.pattern, [&](int source, int target, int channel) {
      if (!same || !alike_->is_told(source)) return;
      ways_.trace({source, target, {}, Action::copy, layer.channel + channel}, way_);
      if (first)
        known.told.push_back(way_.latency);
      else
        same = told < known.told.size() && known.told[told] == way_.latency;
      ++told;
      if (!first) alike_->add(way_, links_);
    });
    if (first) return known.channels = trace_hops(layer, nullptr);
    if (same && told == known.told.size()) return known.channels;
    links_.drop();
    return {};
  }

  // The hops by channel. Traces those alone that repeat none.
  std::vector<std::pair<int, HopSummary>> trace_hops(const Layer& layer, Repeats* repeats) {
    std::vector<std::pair<int, HopSummary>> channels;
    int current = 0;
    std::uint64_t sort = sort_of({layer.channel}, 1);
    const auto end_channel = [&](int next) {
      if (repeats != nullptr) repeats->end_channel();
      if (const HopSummary hops = hops_->take(); hops.count > 0)
        channels.push_back({current, hops});
      current = next;
      sort = sort_of({layer.channel + current}, 1);
    };
    maker_.connections(schedule_, layer.pattern, [&](int source, int target, int channel) {
      if (repeats != nullptr && repeats->failed()) return;
      if (channel != current) end_channel(channel);
      const Send send{source, target, {}, Action::copy, layer.channel + channel};
      if (alike_ != nullptr)
        return hops_->add(source, target, add_alike(send, 1, sort) + software_);
      Seconds latency;
      if (repeats != nullptr && repeats->repeated(source, target, latency))
        return hops_->add(source, target, latency);
      ways_.trace(send, way_);
      for (const topology::BundleShare& part : way_.parts) links_.add(part.bundle, part.share);
      latency = way_.latency + software_;
      hops_->add(source, target, latency);
      if (repeats != nullptr) repeats->add(source, target, latency, way_);
    });
    end_channel(0);
    return channels;
  }

  // A number of what tells sends of one pattern apart, places aside.
  std::uint64_t sort_of(std::initializer_list<int> parts, double weight) const {
    std::uint64_t sort = topology::mixed(std::bit_cast<std::uint64_t>(weight)) +
                         static_cast<std::uint64_t>(links_.patterns());
    for (const int part : parts) sort = topology::mixed(sort ^ static_cast<std::uint64_t>(part));
    return sort;
  }
  // Its latency, software aside.
  Seconds add_alike(const Send& send, double weight, std::uint64_t sort) {
    return alike_->add(send.source, send.target, sort, weight, links_, way_,
                       [&](topology::Trace& way) { ways_.trace(send, way); });
  }
  topology::BundleId standing(topology::BundleId bundle) const {
    return alike_ == nullptr ? bundle : alike_->standing(bundle);
  }

  // ---- from sends

  // An all-gather goes the ways of the reduce-scatter again: routes are not asked for twice.
  PhaseTerms by_sends(const Phase& phase, int index) {
    Pattern pattern = pattern_of(phase, index);
    PhaseTerms terms;
    terms.load.bytes_per_step = take_largest(pattern);
    const auto known = std::ranges::find(seen_, pattern);
    const Traced traced =
        known != seen_.end() ? traced_[known - seen_.begin()] : traced_of(pattern);
    terms.terms = {{traced.pattern, 1}};
    terms.load.step_latency = traced.step_latency;
    terms.load.software_latency = traced.software_latency;
    if (known == seen_.end()) remember(std::move(pattern), traced);
    return terms;
  }

  void remember(Pattern pattern, const Traced& traced) {
    if (remembered_ + pattern.connections.size() > most_remembered) return;
    remembered_ += pattern.connections.size();
    seen_.push_back(std::move(pattern));
    traced_.push_back(traced);
  }

  Pattern pattern_of(const Phase& phase, int index) const {
    Pattern pattern{phase.steps, samples_of(schedule_, index, phase.steps), {}, {}};
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

  // What every link carries per step on average over all steps of a phase: the busiest step may
  // leave out a link that is slower than all that it uses.
  int means_of(const Phase& phase, int index, double bytes_per_step) {
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
    const double all = bytes_per_step * static_cast<double>(phase.steps);
    for (const auto& [key, moved] : bytes) {
      const auto& [source, target, channel, route] = key;
      const Send send{source, target, {}, Action::copy, channel, route};
      if (alike_ != nullptr) {
        add_alike(send, moved / all, sort_of({channel}, moved / all));
        continue;
      }
      ways_.trace(send, way_);
      for (const topology::BundleShare& part : way_.parts)
        links_.add(part.bundle, part.share * (moved / all));
    }
    return links_.close();
  }

  Traced traced_of(const Pattern& pattern) {
    std::vector<std::vector<Route>> bundles(pattern.bundles.size());
    std::vector<double> weights(pattern.bundles.size(), 0);
    std::map<std::pair<int, int>, HopLatencies> hops;  // by channel and sample
    Traced traced;
    for (const Connection& c : pattern.connections) {
      const Send send{c.source, c.target, {}, Action::copy, c.channel, c.route};
      Seconds latency;
      if (alike_ != nullptr && c.bundle < 0) {
        latency =
            add_alike(send, c.weight, sort_of({c.channel, c.sample, c.waits ? 1 : 0}, c.weight));
      } else {
        ways_.trace(send, way_);
        latency = way_.latency;
      }
      if (c.waits) {
        const Seconds software = ways_.software_latency(send);
        traced.software_latency = std::max(traced.software_latency, software);
        const bool rings = pattern.samples[static_cast<std::size_t>(c.sample)].steps > 1;
        hops.try_emplace({c.channel, c.sample}, schedule_.ranks, rings)
            .first->second.add(c.source, c.target, latency + software);
      }
      if (c.bundle >= 0) {
        weights[c.bundle] = c.weight;
        bundles[c.bundle].push_back(ways_.of(send));
      } else if (alike_ == nullptr) {
        for (const topology::BundleShare& part : way_.parts)
          links_.add(part.bundle, part.share * c.weight);
      }
    }
    for (std::size_t i = 0; i < bundles.size(); ++i)
      for (const LinkShare& use : merged(bundles[i]).links)
        links_.add(standing({use.link.index}), use.share * weights[i]);
    traced.pattern = links_.close();
    PhaseLatency latency(pattern.steps, pattern.samples);
    for (auto& [place, of_channel] : hops)
      latency.add(place.first, place.second, of_channel.take());
    traced.step_latency = latency.per_step();
    return traced;
  }

  const Schedule& schedule_;
  const Maker& maker_;
  Bytes size_;
  bool tells_channels_;
  Ways ways_;
  Seconds software_;
  LinkLoads& links_;
  TracedLayers& layers_;
  AlikePeriods* alike_;  // null: every hop is on its own
  topology::Trace way_;
  std::optional<HopLatencies> hops_;
  std::optional<Repeats> repeats_;
  std::vector<Pattern> seen_;
  std::vector<Traced> traced_;  // of each pattern seen
  std::size_t remembered_ = 0;
};

}  // namespace

std::vector<PhaseTerms> terms_of_phases(const Schedule& schedule, Bytes size,
                                        const std::vector<topology::AcceleratorId>& members,
                                        const topology::Router& router,
                                        const topology::Calibration& calibration, LinkLoads& links,
                                        TracedLayers& known, AlikePeriods* alike) {
  assert(static_cast<int>(members.size()) == schedule.ranks);
  return Terms(schedule, size, members, router, calibration, links, known, alike).all();
}

}  // namespace railwright::collectives
