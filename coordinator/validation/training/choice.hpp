// How good a prediction is for choosing: regret and rank correlation over sets of measured layouts.
#pragma once

#include <span>

#include "topology/units.hpp"

namespace railwright::coordinator {

struct MeasuredAndPredicted {
  Seconds measured, predicted;
};

// Measured time of the layout with the least predicted time over the least measured one, less 1.
// Ties of the prediction: the first.
double regret_of(std::span<const MeasuredAndPredicted> layouts);

// Kendall's tau-b over the pairs whose measured times differ by more than `least` (a fraction of
// the shorter). 1: the same order; 0 where no pair counts.
double kendall_tau(std::span<const MeasuredAndPredicted> layouts, double least);

}  // namespace railwright::coordinator
