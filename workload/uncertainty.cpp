#include "workload/uncertainty.hpp"

namespace railwright::workload {

double prediction_uncertainty(const topology::AcceleratorKind& accelerator,
                              const topology::Calibration& calibration) {
  constexpr double unknown = 0.4;
  return calibration.value_or(accelerator.subject(), "step_spread", unknown);
}

}  // namespace railwright::workload
