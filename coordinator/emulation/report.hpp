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
std::string blame_table(const emulator::StepResult& step);
std::string emulation_text(const EmulationReport& report);
// Step `number`, which began at `began`, does not end: what is lost, and which groups hang.
Json standstill_json(const emulator::Standstill& standstill, std::int64_t number, Instant began);
std::string standstill_text(const emulator::Standstill& standstill, std::int64_t number,
                            Instant began);
// Of a step: 1 - new / old.
double gain_of(const emulator::Sensitivity& entry, const emulator::StepResult& step);
// Shares in tenths of a per cent that add up to 1000, in the order of the blame.
std::vector<int> per_mille(const emulator::Blame& blame);

}  // namespace railwright::coordinator
