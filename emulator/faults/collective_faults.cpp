// The part of faults.yaml that one collective can honour.
#include <fmt/format.h>

#include <algorithm>

#include "emulator/faults.hpp"
#include "emulator/faults/course.hpp"
#include "emulator/faults/strike.hpp"

namespace railwright::emulator {
namespace {

using topology::LinkId;

// Why a collective cannot go through this event; empty: it can.
ConfigError refusal_of(const Fault& fault) {
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    return ConfigError{fault.place,
                       fmt::format("'{}': one collective cannot honour {}", fault.target, what),
                       hint};
  };
  const std::string leave_out = "give a fixed time 'at', or leave the event out";
  if (fault.per_year) return refuse("an event at random times", leave_out);
  if (fault.repair) return refuse("a random time of repair", "write a 'duration', or nothing");
  if (fault.kind == FaultKind::down || fault.kind == FaultKind::dead)
    return refuse("a loss: it would never end", "write 'kind: degraded' with a small factor");
  if (fault.kind == FaultKind::flap)
    return refuse("a flap", "write 'kind: degraded' with a small factor and the 'duration'");
  if (fault.kind == FaultKind::slow && (fault.at != seconds(0) || fault.duration))
    return refuse("an accelerator that turns slow while it runs", "write 'at: 0 s', no 'duration'");
  return {};
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
      if (d->factor > 0 && is_active(*d, at)) factor *= d->factor;
    changes.push_back({at, first->link, factor});
  }
}

}  // namespace

Result<StepFaults> collective_faults(const Faults& faults, const topology::Cluster& cluster) {
  Errors errors;
  StepFaults step;
  for (const Fault& fault : faults.events)
    if (ConfigError error = refusal_of(fault); error.message.empty())
      strike(fault, occurrence_of(fault), std::nullopt, cluster, step);
    else
      errors.push_back(std::move(error));
  if (const auto error = nearly_nothing_left(faults, step)) errors.push_back(*error);
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
