// The JSON of `railwright-worker kernels` (--json FILE): products and copies of one accelerator,
// fitted again here, so that files can be merged or cut before.
#pragma once

#include <string>
#include <string_view>

#include "coordinator/calibration/calibration.hpp"

namespace railwright::coordinator {

bool is_of_kernels(std::string_view text);

// `accelerator`: of the catalogue; it wins over what the file says, and may be empty. Errors where
// the file is not whole, or has too few points.
Result<CalibrationFit> fit_kernels(std::string_view text, const std::string& file,
                                   const std::string& accelerator);

}  // namespace railwright::coordinator
