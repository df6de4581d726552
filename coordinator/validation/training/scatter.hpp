// Predicted against measured as a page of its own: one point per row on two logarithmic axes, a
// colour per group, lines at equality and at ten per cent off. No script, no other file.
#pragma once

#include <string>
#include <vector>

#include "coordinator/validation/training/evaluation.hpp"

namespace railwright::coordinator {

// Same evaluation, same bytes.
std::string scatter_page(const TrainingEvaluation& evaluation,
                         const std::vector<TrainingRow>& rows);

}  // namespace railwright::coordinator
