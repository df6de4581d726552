// The constants that predictions of training steps rest on, and how many a thing may have: with
// more of them a fit learns its table instead of the machine.
#pragma once

#include <string>
#include <vector>

#include "coordinator/validation/training/setup.hpp"
#include "topology/calibration_overlay.hpp"

namespace railwright::coordinator {

// Subjects whose constants the prediction reads: the accelerator, the framework, the link kinds.
std::vector<std::string> subjects_of(const TrainingSetup& setup);

// Distinct parameters of a subject, its pieces by size counted once; step_spread is an error bar
// and no constant. Limits: 8 per accelerator, 3 per framework, 4 per link kind or network, none
// (0) of a library.
struct ConstantCount {
  std::string subject;
  std::size_t count = 0, limit = 0;
  bool within() const { return limit == 0 || count <= limit; }
};
std::vector<ConstantCount> constant_counts(const topology::Calibration& calibration);

}  // namespace railwright::coordinator
