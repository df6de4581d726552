// Fits the constants of collectives/library_time.hpp to measurements: coordinate descent on the
// mean |log(predicted / measured)|, each group of each half (from 1 MiB, below) weighted alike, so
// that a long table counts no more than a short one; sizes from 1 MiB count twice.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "collectives/library_time.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

inline constexpr Bytes large_message = mebibytes(1);

struct FitRow {
  collectives::library::Run run;
  Seconds measured;
  std::string group;  // a weight, never a key of a constant
  bool large() const { return run.size >= large_message; }
};

// What the rows may move: entries of the calibration that the model reads, that are measured
// (n > 0) and that some row uses.
std::vector<std::size_t> free_entries(const topology::Calibration& calibration,
                                      std::span<const FitRow> rows);

enum class FitStart {
  // From data sheets and NCCL's tables, whatever the entries were: a fit without a group then knows
  // nothing of it.
  round_figures,
  as_given,  // what the rows do not tell stays
};
// The calibration with its free entries fitted; all else of an entry stays.
topology::Calibration fitted(topology::Calibration calibration, std::span<const FitRow> rows,
                             FitStart start);

// `n` of the free entries becomes the number of rows whose prediction they move, the valid range
// those rows' sizes. Entries that move none stay as they are.
topology::Calibration with_ranges(topology::Calibration calibration, std::span<const FitRow> rows);

// Standard errors of the free entries by leaving out one group after the other (one row after the
// other where there is one group), and how well what was left out is predicted.
struct LeftOut {
  topology::Calibration calibration;  // with standard errors
  std::vector<Seconds> predicted;     // of each row by the fit without its group
};
LeftOut left_out(const topology::Calibration& calibration, std::span<const FitRow> rows,
                 FitStart start);

}  // namespace railwright::coordinator
