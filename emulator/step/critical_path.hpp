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
// the lowest) keeps its causes; what the path spends on other stages is the pipeline's bubble, on
// equal stages exactly (p - 1) (forward + backward).
CriticalPath critical_path(const StepRecord& record, const Layout& layout, const StepCosts& costs,
                           const Network& network, const topology::Graph& graph);

}  // namespace railwright::emulator
