// The parameters that a calibration may give: unit, physical range, whose they are.
#pragma once

#include <span>
#include <string_view>

#include "topology/calibration_overlay.hpp"

namespace railwright::topology {

struct Parameter {
  std::string_view name, unit;
  double low, high;
  SubjectSort sort;
};

std::span<const Parameter> calibration_parameters();
const Parameter* parameter_named(std::string_view name);

}  // namespace railwright::topology
