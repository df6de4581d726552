// Fits the constants of training steps to a table of them: coordinate descent on the mean
// |log(predicted / measured)|, each group weighted alike, so that a long table counts no more than
// a short one. Interleaved steps are emulated at both ends of a fit; in between the closed form
// says how they move.
//
// What may move belongs to an accelerator, a link kind or a framework, inside its physical range:
//   sustained_rate of an accelerator,
//   host_launch, host_exposed, vector_traffic, shard_latency of a framework,
//   link_efficiency of a network that steps alone were measured on.
// All else is measured on kernels and collectives.
#pragma once

#include <vector>

#include "coordinator/validation/training/prediction.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

// Entries of the calibration that these rows may move: measured ones (n > 0) that some row uses.
std::vector<std::size_t> free_entries(const topology::Calibration& calibration,
                                      const TrainingTable& table,
                                      const std::vector<std::size_t>& rows);

enum class TrainingStart {
  // A fit without a group then knows nothing of it. Free entries that no row uses become the
  // geometric mean of the same parameter of the other things of their sort.
  round_figures,
  as_given,
};
// The calibration with its free entries fitted to the rows that have a step time. Each gets n, the
// rows that use it, and its standard error: what the residual and the slope of the rows say.
topology::Calibration fitted(const topology::Calibration& calibration, const TrainingTable& table,
                             const std::vector<std::size_t>& rows, TrainingStart start);

// Fills `left_out` of the steps: each group predicted by constants fitted to the others from round
// figures.
void add_left_out(const TrainingTable& table, const topology::Calibration& calibration,
                  std::vector<PredictedStep>& steps);

}  // namespace railwright::coordinator
