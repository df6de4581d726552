// A step of given programs, one per stage: emulate_step without asking the workload for them.
// Private to the emulator and its tests.
#pragma once

#include "emulator/step.hpp"

namespace railwright::emulator {

Result<StepResult> run_programs(const topology::Cluster& cluster, const Plan& plan,
                                std::vector<workload::Program> programs,
                                const topology::Calibration& calibration,
                                const StepOptions& options);

}  // namespace railwright::emulator
