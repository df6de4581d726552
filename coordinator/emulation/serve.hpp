// `railwright emulate --listen`: emulated steps at the pace of a clock, scraped by Prometheus.
#pragma once

#include "coordinator/emulation/report.hpp"

namespace railwright::coordinator {

// Checks --listen, --speed and --steps; runs until a signal. `show` is called once, after the last
// step (without --steps: after the first).
int serve(const EmulateOptions& options, const EmulateInputs& inputs,
          const std::function<void(const StepSequence&, const EmulatedStep&)>& show);

}  // namespace railwright::coordinator
