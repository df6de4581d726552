#include "emulator/faults/strike.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <map>

#include "emulator/faults/target.hpp"

namespace railwright::emulator {
namespace {

using topology::AcceleratorId;
using topology::Cluster;
using topology::LinkId;

constexpr double least_factor = 1e-6;

std::vector<LinkId> both_directions(LinkId link, const topology::Graph& graph) {
  const auto back = graph.link_between(graph.target_of(link), graph.source_of(link));
  return back ? std::vector{link, *back} : std::vector{link};
}

void strike_target(const Fault& fault, const std::string& name, const Occurrence& when,
                   const std::vector<LinkId>& links, const std::vector<AcceleratorId>& accelerators,
                   StepFaults& step) {
  const bool gone = fault.kind != FaultKind::slow && fault.kind != FaultKind::degraded;
  const double factor = gone ? 0 : fault.factor;
  if (fault.kind != FaultKind::slow)
    for (const LinkId link : links) step.links.push_back({link, when.from, when.until, factor});
  if (fault.kind != FaultKind::degraded)
    for (const AcceleratorId accelerator : accelerators)
      step.accelerators.push_back({accelerator, factor, when.from, when.until});
  if (gone) step.losses.push_back({name, when.from, when.until});
}

// What is left of a link or an accelerator when all that hits it coincides, losses apart.
template <class Events, class Subject>
double least_left(const Events& events, Subject subject) {
  std::map<decltype(subject(*events.begin())), double> left;
  double least = 1;
  for (const auto& event : events)
    if (event.factor > 0)
      least = std::min(least, left.emplace(subject(event), 1.0).first->second *= event.factor);
  return least;
}

}  // namespace

Occurrence occurrence(Seconds from, std::optional<Seconds> duration) {
  Occurrence when{Instant{} + ceil_picoseconds(from), std::nullopt};
  if (!duration) return when;
  if (from + *duration < in_seconds(Picoseconds{INT64_MAX}))
    when.until = when.from + ceil_picoseconds(*duration);
  return when;
}

Occurrence occurrence_of(const Fault& fault) { return occurrence(*fault.at, fault.duration); }

void strike(const Fault& fault, const Occurrence& when, std::optional<LinkId> cable,
            const Cluster& cluster, StepFaults& step) {
  for (const std::string& name : {fault.target, fault.correlated_with}) {
    if (name.empty()) continue;
    const auto target = find_target(name, cluster);
    assert(target && "parse_faults checked the names against another cluster");
    if (cable && name == fault.target)
      strike_target(fault, cluster.graph.name_of(*cable), when,
                    both_directions(*cable, cluster.graph), {}, step);
    else
      strike_target(fault, name, when, links_of(*target, cluster),
                    accelerators_of(*target, cluster), step);
  }
}

std::optional<ConfigError> nearly_nothing_left(const Faults& faults, const StepFaults& step) {
  const double left =
      std::min(least_left(step.links, [](const auto& link) { return link.link; }),
               least_left(step.accelerators, [](const auto& slow) { return slow.accelerator; }));
  if (left >= least_factor) return std::nullopt;
  return ConfigError{faults.events.front().place,
                     fmt::format("together the events leave a link or an accelerator {:.1g} of "
                                 "its speed; a step ends in good time with {:.0e} or more",
                                 left, least_factor),
                     "write larger factors, or 'kind: down' for nothing left"};
}

}  // namespace railwright::emulator
