// What `railwright validate` says of an evaluation.
#pragma once

#include <string>
#include <vector>

#include "coordinator/console.hpp"
#include "coordinator/validation/evaluation.hpp"

namespace railwright::coordinator {

Json to_json(const Evaluation& evaluation, const std::vector<Measurement>& measurements,
             const topology::Calibration& calibration);
std::string to_text(const Evaluation& evaluation, const topology::Calibration& calibration);

}  // namespace railwright::coordinator
