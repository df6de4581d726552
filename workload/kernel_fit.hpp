// What measured products and copies say of an accelerator's constants.
//
// A product takes  C (k + half depth) / rate,  C being what its tiles cost per unit of depth
// (matrix_time.hpp), a copy  (bytes + half size) / rate:  both are lines, whose slope is the rate
// that is reached and whose intercept the rest. Products of growing depth give the one, the large
// copies the other; small ones live in caches and are not fitted.
#pragma once

#include <string>
#include <vector>

#include "topology/calibration.hpp"
#include "topology/spec.hpp"
#include "topology/units.hpp"

namespace railwright::workload {

struct ProductPoint {
  int m = 0, n = 0, k = 0;
  Seconds time;
  double flops() const { return 2.0 * m * n * k; }
};
struct CopyPoint {
  Bytes moved;  // half of it is read, half written
  Seconds time;
};
struct Curves {
  std::vector<ProductPoint> products;  // by depth
  std::vector<CopyPoint> copies;       // by size
};

// y = intercept + slope x, by least squares of the relative error; two different x at least.
struct Line {
  double intercept = 0, slope = 0, slope_error = 0, intercept_error = 0;
};
Line fitted_line(const std::vector<double>& x, const std::vector<double>& y);

// The copies that are fitted: from an eighth of the largest on.
std::vector<CopyPoint> large_copies(const Curves& curves);

// gemm_efficiency, gemm_half_depth, hbm_efficiency and hbm_half_size of the accelerator, which has
// a rate in this precision. What is above its data sheet counts as 1, and `notes` says so. Needs
// products of two depths and large copies of two sizes.
topology::Calibration kernel_calibration(const Curves& curves,
                                         const topology::AcceleratorKind& accelerator,
                                         topology::Precision precision, const std::string& how,
                                         std::vector<std::string>& notes);

// What such a calibration makes one expect.
Seconds predicted_time(const ProductPoint& point, const topology::AcceleratorKind& accelerator,
                       topology::Precision precision, const topology::Calibration& calibration);
Seconds predicted_time(const CopyPoint& point, const topology::AcceleratorKind& accelerator,
                       const topology::Calibration& calibration);

}  // namespace railwright::workload
