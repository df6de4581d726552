// From tables of training steps to the constants of accelerators, frameworks and shared networks
// that they move (validation/training/fit.hpp), and how far steps scatter about the fit.
#pragma once

#include <vector>

#include "coordinator/calibration/calibration.hpp"
#include "coordinator/validation/training/row.hpp"

namespace railwright::coordinator {

// Starts from `base`, or from round figures; accelerators and frameworks that have no entries of
// their own get them. Each accelerator gets a step_spread: the root mean square of
// log(predicted / measured), groups weighted alike. Errors when no row can be predicted.
Result<CalibrationFit> fit_steps(const std::vector<TrainingRow>& rows,
                                 const topology::Calibration& base, bool from_scratch);

}  // namespace railwright::coordinator
