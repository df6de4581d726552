#include "emulator/collective.hpp"

#include <algorithm>
#include <cassert>

#include "emulator/collective/medium.hpp"

namespace railwright::emulator {
namespace {

constexpr std::size_t most_links = 64;
constexpr std::int64_t few_sends = 20'000;  // some ten milliseconds of emulation

bool runs_steps(const CollectiveRun& run) {
  if (run.detail != Detail::automatic) return run.detail == Detail::steps;
  return send_estimate(run.schedule) <= few_sends;
}

// Links of a set do the same, and the network knows the lowest of them.
std::vector<LinkLoad> busiest_links(const Network& network,
                                    const std::vector<collectives::LinkSet>& sets) {
  std::vector<LinkLoad> loads;
  auto set = sets.begin();
  for (const topology::LinkId link : network.used_links()) {
    const LinkUse use = network.use_of(link);
    LinkLoad load{.link = link, .bytes = use.bytes, .busy_seconds = use.busy_seconds};
    if (use.offered_bytes > 0) load.utilization = use.bytes / use.offered_bytes;
    while (set != sets.end() && set->lowest.front() < link) ++set;
    const bool stands_for_many = set != sets.end() && set->lowest.front() == link;
    for (const topology::LinkId alike :
         stands_for_many ? set->lowest : std::vector<topology::LinkId>{link}) {
      load.link = alike;
      loads.push_back(load);
    }
  }
  const auto busier = [](const LinkLoad& a, const LinkLoad& b) {
    return a.utilization != b.utilization ? a.utilization > b.utilization : a.link < b.link;
  };
  const std::size_t kept = std::min(loads.size(), most_links);
  std::partial_sort(loads.begin(), loads.begin() + static_cast<std::ptrdiff_t>(kept), loads.end(),
                    busier);
  loads.resize(kept);
  return loads;
}

// Links that faults or background flows tell apart from others.
std::vector<topology::LinkId> links_apart(const CollectiveRun& run,
                                          const topology::Router& router) {
  std::vector<topology::LinkId> links;
  for (const LinkDegradation& fault : run.faults.links) links.push_back(fault.link);
  for (const BackgroundFlow& flow : run.background)
    for (const topology::LinkShare& use : router.between(flow.source, flow.target).links)
      links.push_back(use.link);
  return links;
}

// Chunks are cut between elements: the loads of as many bytes as there are elements, scaled.
collectives::FoldedLoads loads_of(const CollectiveRun& run, const topology::Router& router,
                                  const topology::Calibration& calibration) {
  auto loads =
      collectives::folded_phase_loads(run.schedule, {run.size.count / run.element}, run.members,
                                      router, calibration, links_apart(run, router));
  for (collectives::PhaseLoad& load : loads.phases)
    load.bytes_per_step *= static_cast<double>(run.element);
  return loads;
}

// Sends of one step, over all ends.
std::int64_t sends_in(const collectives::Schedule& schedule, int phase, std::int64_t step) {
  std::int64_t sends = 0;
  const int ends = schedule.ranks + collectives::switch_count(schedule);
  for (int end = 0; end < ends; ++end)
    sends += std::ssize(collectives::sends_from(schedule, end, phase, step));
  return sends;
}

// Where few of the channels are in use at a time, one by one is affordable although their number
// says otherwise: a look at three steps of every phase tells.
std::int64_t sampled_sends(const collectives::Schedule& schedule) {
  const std::vector<collectives::Phase> phases = collectives::phases_of(schedule);
  std::int64_t sends = 0;
  for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase) {
    const std::int64_t steps = phases[phase].steps;
    std::int64_t most = sends_in(schedule, phase, 0);
    if (steps > 2) most = std::max(most, sends_in(schedule, phase, steps / 2));
    if (steps > 1) most = std::max(most, sends_in(schedule, phase, steps - 1));
    sends += steps * most;
  }
  return sends;
}

}  // namespace

std::int64_t send_estimate(const collectives::Schedule& schedule) {
  std::int64_t steps = 0;
  for (const collectives::Phase& phase : collectives::phases_of(schedule)) steps += phase.steps;
  const std::int64_t most = steps * schedule.ranks * collectives::channel_count(schedule);
  constexpr int few_ranks = 1024;
  const bool worth_a_look = most > few_sends && schedule.ranks <= few_ranks;
  return worth_a_look ? std::min(most, sampled_sends(schedule)) : most;
}

Instant run_phases(const std::vector<collectives::PhaseLoad>& loads, Medium& medium) {
  Instant now;
  for (const collectives::PhaseLoad& load : loads) {
    const auto steps = static_cast<double>(load.steps);
    const TransferId id = medium.start({load.consumption, load.bytes_per_step * steps}, now);
    for (bool ended = false; !ended;) {
      now = medium.next().value();
      const std::vector<TransferId> all = medium.advance_to(now);
      ended = std::find(all.begin(), all.end(), id) != all.end();
    }
    now = now + ceil_picoseconds(steps * load.step_latency);
    medium.pass_until(now);
  }
  return now;
}

CollectiveResult emulate_collective(const CollectiveRun& run, const topology::Router& router,
                                    const topology::Calibration& calibration) {
  assert(static_cast<int>(run.members.size()) == run.schedule.ranks);
  assert(run.element >= 1 && run.size.count % run.element == 0);
  Medium medium(run, router, calibration);
  CollectiveResult result;
  result.stepwise = runs_steps(run);
  collectives::FoldedLoads loads;
  Instant end;
  if (result.stepwise) {
    end = run_steps(run, router, calibration, medium);
  } else {
    loads = loads_of(run, router, calibration);
    end = run_phases(loads.phases, medium);
    result.idle = collectives::idle_time(loads.phases, router.cluster().graph, calibration);
  }
  medium.finish(end);
  result.time = end - Instant{};
  result.limiting_link = medium.limiting_link();
  if (result.limiting_link.index >= 0)
    result.limiting_link_class = router.cluster().graph.class_of(result.limiting_link).name;
  result.links = busiest_links(medium.network(), loads.sets);
  result.events = medium.events();
  return result;
}

}  // namespace railwright::emulator
