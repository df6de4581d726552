// A calibration file laid over the defaults, and what an entry may belong to.
//
//   auto calibration = load_calibration("calibration.json");     // the defaults below it
//   emulate_collective(run, router, at_size(*calibration, run.size));
//
// A subject is one of
//   an accelerator or a link kind of the catalogue          "h100-sxm5-80gb", "nvlink-4"
//   a library, with a version where it matters              "library:nccl", "library:nccl@2.18"
//   a kind of network, as software meets it                 "network:efa"
//   a framework                                             "framework:torch"
//   whatever has no entry of its own                        "*"
// and never a source, a group or a row of measurements: those are not in the catalogue.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/calibration.hpp"

namespace railwright::topology {

enum class SubjectSort { any, accelerator, link, network, framework, library };

// Nothing when no such thing is known.
std::optional<SubjectSort> subject_sort(std::string_view subject);
// "infiniband", "roce", ...: what may follow "network:", "framework:" and "library:".
const std::vector<std::string>& network_kinds();
const std::vector<std::string>& framework_names();
const std::vector<std::string>& library_names();

// Why an entry cannot be: a subject that is no thing, a parameter of another sort of things, a
// value outside of the parameter's range. Empty when it can.
std::string misfit_of(const CalibrationEntry& entry);

// `top` where it says something about a parameter of a subject, else `base`. All pieces of a
// parameter that is given by size are replaced together.
Calibration overlaid(const Calibration& base, const Calibration& top);

// One piece of each parameter: the one whose valid range holds `size`, else the nearest. What is
// not given by size stays as it is.
Calibration at_size(const Calibration& calibration, Bytes size);

// What is measured of `framework` ("megatron"; "" = none) is what is asked for as subject
// "framework": which of them runs is a choice of the run, not of those who price kernels.
Calibration with_framework(const Calibration& calibration, std::string_view framework);

// The file over default_calibration().
Result<Calibration> load_calibration(const std::string& path);

}  // namespace railwright::topology
