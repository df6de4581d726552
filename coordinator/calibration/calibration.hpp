// From measured runs to a calibration file: a fit of the links per system, for the emulator, and a
// fit of the library's constants over all runs, for `railwright validate`.
#pragma once

#include <string>
#include <vector>

#include "coordinator/validation/measurement.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

struct CalibrationRequest {
  std::vector<Measurement> measurements;
  topology::Calibration base;  // what the fit of the library starts from
  std::string link;            // subject of link_efficiency; "": from accelerator and network
  bool from_scratch = false;   // the library's constants start from round figures, not from base
};

struct CalibrationFit {
  std::string what;  // "links: all_reduce, 8 x h100-sxm5-80gb", "library"
  std::vector<topology::CalibrationEntry> entries;
  double residual = 0, left_out = 0;  // mean relative errors
  std::string note;                   // what the reader should know; may be empty
};

struct Calibrated {
  std::vector<CalibrationFit> fits;
  std::vector<std::string> skipped;  // rows and systems that gave no fit, with the reason
};

// Errors when nothing can be fitted, saying why.
Result<Calibrated> calibrate(const CalibrationRequest& request);

// The entries of all fits; of two fits of one parameter the first with the wider range.
topology::Calibration calibration_of(const Calibrated& calibrated);

}  // namespace railwright::coordinator
