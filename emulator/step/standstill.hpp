// Which groups hang, once nothing can happen any more. Private to the emulator.
#pragma once

#include "emulator/step/prepared.hpp"

namespace railwright::emulator {

Standstill standstill_of(const Execution& execution, const Layout& layout, const Plan& plan,
                         const StepFaults& faults);

}  // namespace railwright::emulator
