// What `railwright emulate` prints.
#pragma once

#include "coordinator/emulation/sequence.hpp"

namespace railwright::coordinator {

struct EmulationReport {
  const EmulateInputs& inputs;
  const emulator::StepResult& step;  // the last one
  std::int64_t steps = 1;
  Instant virtual_time;
  double wall_s = 0;
};

Json emulation_json(const EmulationReport& report);
std::string emulation_text(const EmulationReport& report);
// Shares in tenths of a per cent that add up to 1000, in the order of the blame.
std::vector<int> per_mille(const emulator::Blame& blame);

}  // namespace railwright::coordinator
