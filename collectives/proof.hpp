// The proof behind violation_of(): schedules as explicit lists of sends, so that tests can break
// one send and see that the proof notices.
#pragma once

#include <string>
#include <vector>

#include "collectives/schedule.hpp"

namespace railwright::collectives {

struct TimedSend {
  Send send;
  int phase = 0;
  std::int64_t step = 0;
  bool operator==(const TimedSend&) const = default;
};

// All sends by phase, step and source.
std::vector<TimedSend> all_sends(const Schedule& schedule);

// Runs `sends` (in order of phase and step) on sets of contributions under the rule of
// schedule.hpp, with `schedule` for the contract. Two sends are ordered only when the rule orders
// them, so what holds here holds for every admissible timing. First violation in words, or empty.
std::string violation_of(const Schedule& schedule, const std::vector<TimedSend>& sends);

// Where sends_from and sends_to disagree, or empty.
std::string disagreement_of(const Schedule& schedule);
// Where the own parts of a reduce-scatter or all-gather leave a gap or overlap, or empty.
std::string tiling_violation_of(const Schedule& schedule);

}  // namespace railwright::collectives
