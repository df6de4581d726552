// What an executed step amounts to. Private to the emulator.
#pragma once

#include "emulator/step/prepared.hpp"

namespace railwright::emulator {

// All of a StepResult but mfu and sensitivities. Moves the network's time to the end of the step.
StepResult report_of(Execution& execution, const Layout& layout, const topology::Cluster& cluster,
                     const StepOptions& options);

}  // namespace railwright::emulator
