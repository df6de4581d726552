// `railwright emulate --plan A --plan B`: several jobs on one fabric.
#pragma once

#include "coordinator/emulation/inputs.hpp"

namespace railwright::coordinator {

int emulate_jobs(const EmulateOptions& options, const Stopwatch& watch);

}  // namespace railwright::coordinator
