// What `railwright validate` says of predicted training steps.
#pragma once

#include <string>
#include <vector>

#include "coordinator/console.hpp"
#include "coordinator/validation/training/evaluation.hpp"

namespace railwright::coordinator {

Json to_json(const TrainingEvaluation& evaluation, const std::vector<TrainingRow>& rows,
             const topology::Calibration& calibration);
std::string to_text(const TrainingEvaluation& evaluation, const topology::Calibration& calibration);

}  // namespace railwright::coordinator
