// The part of faults.yaml that one step can honour.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <map>

#include "emulator/faults.hpp"
#include "emulator/faults/target.hpp"

namespace railwright::emulator {
namespace {

using topology::LinkId;

constexpr double least_factor = 1e-6;

// Why one step cannot go through this event; empty: it can.
ConfigError refusal_of(const Fault& fault) {
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    return ConfigError{fault.place,
                       fmt::format("'{}': one step cannot honour {}", fault.target, what), hint};
  };
  const std::string leave_out = "give a fixed time 'at', or leave the event out";
  if (fault.per_year) return refuse("an event at random times", leave_out);
  if (fault.repair) return refuse("a random time of repair", "write a 'duration', or nothing");
  if (fault.kind == FaultKind::down || fault.kind == FaultKind::dead)
    return refuse("a loss: the step would never end", "write 'kind: degraded' with a small factor");
  if (fault.kind == FaultKind::flap)
    return refuse("a flap", "write 'kind: degraded' with a small factor and the 'duration'");
  if (fault.kind == FaultKind::slow && (fault.at != seconds(0) || fault.duration))
    return refuse("an accelerator that turns slow while it runs", "write 'at: 0 s', no 'duration'");
  return {};
}

void add_degradations(const Fault& fault, const Target& target, const topology::Cluster& cluster,
                      StepFaults& step) {
  const Instant from = Instant{} + ceil_picoseconds(*fault.at);
  std::optional<Instant> until;
  const Seconds end = *fault.at + fault.duration.value_or(Seconds{});
  // What ends after event time lasts.
  if (fault.duration && end < in_seconds(Picoseconds{INT64_MAX}))
    until = from + ceil_picoseconds(*fault.duration);
  for (const LinkId link : links_of(target, cluster))
    step.links.push_back({link, from, until, fault.factor});
}

void add_event(const Fault& fault, const topology::Cluster& cluster, StepFaults& step) {
  for (const std::string& name : {fault.target, fault.correlated_with}) {
    if (name.empty()) continue;
    const auto target = find_target(name, cluster);
    assert(target && "parse_faults checked the names against another cluster");
    if (fault.kind == FaultKind::degraded)
      add_degradations(fault, *target, cluster, step);
    else
      for (const topology::AcceleratorId accelerator : accelerators_of(*target, cluster))
        step.accelerators.push_back({accelerator, fault.factor});
  }
}

// What is left of a link or an accelerator when all that hits it coincides.
template <class Events, class Subject>
double least_left(const Events& events, Subject subject) {
  std::map<decltype(subject(*events.begin())), double> left;
  double least = 1;
  for (const auto& event : events)
    least = std::min(least, left.emplace(subject(event), 1.0).first->second *= event.factor);
  return least;
}

// Factors of one link between its boundaries. O(n^2) in the degradations of that link alone.
template <class Iterator>
void add_changes(Iterator first, Iterator last, std::vector<CapacityChange>& changes) {
  std::vector<Instant> boundaries;
  for (Iterator d = first; d != last; ++d) {
    boundaries.push_back(d->from);
    if (d->until) boundaries.push_back(*d->until);
  }
  std::sort(boundaries.begin(), boundaries.end());
  boundaries.erase(std::unique(boundaries.begin(), boundaries.end()), boundaries.end());
  for (const Instant at : boundaries) {
    double factor = 1;
    for (Iterator d = first; d != last; ++d)
      if (d->from <= at && (!d->until || at < *d->until)) factor *= d->factor;
    changes.push_back({at, first->link, factor});
  }
}

}  // namespace

Result<StepFaults> step_faults(const Faults& faults, const topology::Cluster& cluster) {
  Errors errors;
  StepFaults step;
  for (const Fault& fault : faults.events)
    if (ConfigError error = refusal_of(fault); error.message.empty())
      add_event(fault, cluster, step);
    else
      errors.push_back(std::move(error));
  const double left =
      std::min(least_left(step.links, [](const auto& link) { return link.link; }),
               least_left(step.accelerators, [](const auto& slow) { return slow.accelerator; }));
  if (left < least_factor)
    errors.push_back({faults.events.front().place,
                      fmt::format("together the events leave a link or an accelerator {:.1g} of "
                                  "its speed; a step ends in good time with {:.0e} or more",
                                  left, least_factor),
                      "write larger factors, or 'kind: down' for nothing left"});
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return step;
}

std::vector<CapacityChange> capacity_changes(std::vector<LinkDegradation> degradations) {
  std::stable_sort(
      degradations.begin(), degradations.end(),
      [](const LinkDegradation& a, const LinkDegradation& b) { return a.link < b.link; });
  std::vector<CapacityChange> changes;
  for (auto first = degradations.begin(); first != degradations.end();) {
    const auto last = std::find_if(first, degradations.end(),
                                   [&](const LinkDegradation& d) { return d.link != first->link; });
    add_changes(first, last, changes);
    first = last;
  }
  std::stable_sort(changes.begin(), changes.end(),
                   [](const CapacityChange& a, const CapacityChange& b) { return a.at < b.at; });
  return changes;
}

}  // namespace railwright::emulator
