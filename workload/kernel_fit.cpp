#include "workload/kernel_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "workload/matrix_time.hpp"

namespace railwright::workload {
namespace {

using topology::CalibrationEntry;

// Half of what is seen of an efficiency's range: the calibration file takes no more than 1.
struct Share {
  double value = 0, error = 0;
};

Share share_of(const Line& line, double sheet_rate, const std::string& what,
               std::vector<std::string>& notes) {
  const double rate = 1 / line.slope, share = rate / sheet_rate;
  const double error = share * line.slope_error / line.slope;
  if (share <= 1) return {std::max(share, 0.001), error};
  notes.push_back(fmt::format(
      "{}: {:.4g} G/s were reached, the data sheet says {:.4g}: 1 is written; a definition of the "
      "accelerator of its own would say more",
      what, rate / 1e9, sheet_rate / 1e9));
  return {1, error};
}

bool grows(const Line& line, const std::string& what, const std::string& along,
           std::vector<std::string>& notes) {
  if (line.slope > 0) return true;
  notes.push_back(fmt::format(
      "{}: the time does not grow with the {}, nothing is written; measure while nothing else runs",
      what, along));
  return false;
}

CalibrationEntry entry(const topology::AcceleratorKind& accelerator, const char* parameter,
                       const char* unit, Share share, std::size_t points,
                       std::pair<double, double> range, const std::string& source) {
  return {accelerator.subject(),    parameter,   unit,         share.value, share.error,
          static_cast<int>(points), range.first, range.second, source};
}

void add_products(topology::Calibration& calibration, const Curves& curves,
                  const topology::AcceleratorKind& accelerator, topology::Precision precision,
                  const std::string& how, std::vector<std::string>& notes) {
  std::vector<double> depth, time;
  for (const ProductPoint& point : curves.products) {
    const MatrixShape shape{double(point.m), double(point.n), double(point.k), 1};
    const double at_unit_rate = matrix_time(shape, accelerator.compute_units, 0, {1}).value;
    depth.push_back(point.k);
    time.push_back(point.time.value * point.k / at_unit_rate);
  }
  const Line line = fitted_line(depth, time);
  if (!grows(line, "gemm_efficiency", "depth", notes)) return;
  const Share share =
      share_of(line, accelerator.peak.at(precision).per_second, "gemm_efficiency", notes);
  const Share half{std::max(0.0, line.intercept / line.slope), line.intercept_error / line.slope};
  const std::pair range(curves.products.front().flops(), curves.products.back().flops());
  const std::size_t points = curves.products.size();
  calibration.entries.push_back(
      entry(accelerator, "gemm_efficiency", "1", share, points, range, how));
  calibration.entries.push_back(
      entry(accelerator, "gemm_half_depth", "1", half, points, range, how));
}

void add_copies(topology::Calibration& calibration, const Curves& curves,
                const topology::AcceleratorKind& accelerator, const std::string& how,
                std::vector<std::string>& notes) {
  std::vector<double> moved, time;
  for (const CopyPoint& point : large_copies(curves)) {
    moved.push_back(static_cast<double>(point.moved.count));
    time.push_back(point.time.value);
  }
  const Line line = fitted_line(moved, time);
  if (!grows(line, "hbm_efficiency", "size", notes)) return;
  const Share share =
      share_of(line, accelerator.memory_bandwidth.bytes_per_second, "hbm_efficiency", notes);
  const Share half{std::max(0.0, line.intercept / line.slope), line.intercept_error / line.slope};
  const std::pair range(moved.front(), moved.back());
  calibration.entries.push_back(
      entry(accelerator, "hbm_efficiency", "1", share, moved.size(), range, how));
  calibration.entries.push_back(
      entry(accelerator, "hbm_half_size", "B", half, moved.size(), range, how));
}

}  // namespace

// Minimises the sum of ((a + b x - y) / y)^2.
Line fitted_line(const std::vector<double>& x, const std::vector<double>& y) {
  assert(x.size() == y.size() && x.size() >= 2);
  double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double weight = 1 / (y[i] * y[i]);
    w += weight;
    wx += weight * x[i];
    wy += weight * y[i];
    wxx += weight * x[i] * x[i];
    wxy += weight * x[i] * y[i];
  }
  const double spread = w * wxx - wx * wx;
  assert(spread > 0);
  Line line;
  line.slope = (w * wxy - wx * wy) / spread;
  line.intercept = (wy - line.slope * wx) / w;
  if (x.size() == 2) return line;
  double residual = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    residual += std::pow((line.intercept + line.slope * x[i] - y[i]) / y[i], 2);
  const double variance = residual / static_cast<double>(x.size() - 2);
  line.slope_error = std::sqrt(variance * w / spread);
  line.intercept_error = std::sqrt(variance * wxx / spread);
  return line;
}

std::vector<CopyPoint> large_copies(const Curves& curves) {
  std::vector<CopyPoint> large;
  for (const CopyPoint& point : curves.copies)
    if (point.moved.count >= curves.copies.back().moved.count / 8) large.push_back(point);
  return large;
}

topology::Calibration kernel_calibration(const Curves& curves,
                                         const topology::AcceleratorKind& accelerator,
                                         topology::Precision precision, const std::string& how,
                                         std::vector<std::string>& notes) {
  topology::Calibration calibration;
  add_products(calibration, curves, accelerator, precision, how, notes);
  add_copies(calibration, curves, accelerator, how, notes);
  return calibration;
}

Seconds predicted_time(const ProductPoint& point, const topology::AcceleratorKind& accelerator,
                       topology::Precision precision, const topology::Calibration& calibration) {
  const auto value = [&](const char* parameter) {
    return calibration.value_or(accelerator.subject(), parameter, 0);
  };
  const double rate = value("gemm_efficiency") * accelerator.peak.at(precision).per_second;
  return matrix_time({double(point.m), double(point.n), double(point.k), 1},
                     accelerator.compute_units, value("gemm_half_depth"), {rate});
}

Seconds predicted_time(const CopyPoint& point, const topology::AcceleratorKind& accelerator,
                       const topology::Calibration& calibration) {
  const auto value = [&](const char* parameter) {
    return calibration.value_or(accelerator.subject(), parameter, 0);
  };
  const double rate = value("hbm_efficiency") * accelerator.memory_bandwidth.bytes_per_second;
  return {(static_cast<double>(point.moved.count) + value("hbm_half_size")) / rate};
}

}  // namespace railwright::workload
