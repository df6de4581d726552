// Which op kept the step from ending earlier, and what that op spent its time on. Private to the
// emulator.
#pragma once

#include <map>

#include "emulator/step/engine.hpp"

namespace railwright::emulator {

struct CriticalPath {
  Blame blame;                                      // adds up to the step
  std::map<topology::LinkId, std::int64_t> limits;  // link -> picoseconds it held the path back
};

// Walks back from the op that ended last to the start of the step, at every op to the predecessor
// that ended last (ties: the lowest op). The stage on which the path spends the longest time (ties:
// the lowest) is the main one. Time on the path belongs to its cause, but for what the path spends
// on other stages while the main one has nothing to run: that is the pipeline's bubble, on equal
// stages and free sends exactly (p - 1) (forward + backward).
CriticalPath critical_path(const StepRecord& record, const Layout& layout, const StepCosts& costs,
                           const Network& network, const topology::Graph& graph);

}  // namespace railwright::emulator
