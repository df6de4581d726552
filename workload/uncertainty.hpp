// How far a predicted step may be off.
#pragma once

#include "topology/topology.hpp"

namespace railwright::workload {

// Standard deviation of log(predicted / measured), a fraction: the accelerator's step_spread, which
// is the residual of the fit to published steps; of an accelerator without any, the class default.
double prediction_uncertainty(const topology::AcceleratorKind& accelerator,
                              const topology::Calibration& calibration);

}  // namespace railwright::workload
