// Curves of kernels and the constants that are fitted to them.
#include "workload/kernel_fit.hpp"

#include <catch2/catch.hpp>

#include "topology/calibration_overlay.hpp"
#include "topology/topology.hpp"
#include "workload/matrix_time.hpp"

namespace railwright::workload {
namespace {

const topology::AcceleratorKind& accelerator(const std::string& name) {
  for (const topology::AcceleratorKind& kind : topology::accelerator_catalogue())
    if (kind.name == name) return kind;
  throw std::runtime_error(name);
}

// What the model of the planner says of an accelerator with these constants.
Curves curves_of(const topology::AcceleratorKind& kind, topology::Precision precision, double gemm,
                 double half_depth, double hbm, double half_size) {
  Curves curves;
  for (int k = 64; k <= 4096; k *= 2) {
    const double rate = gemm * kind.peak.at(precision).per_second;
    const Seconds time =
        matrix_time({2048, 2048, double(k), 1}, kind.compute_units, half_depth, {rate});
    curves.products.push_back({2048, 2048, k, time});
  }
  for (std::uint64_t size = 1 << 20; size <= std::uint64_t{1} << 30; size *= 2) {
    const double rate = hbm * kind.memory_bandwidth.bytes_per_second;
    curves.copies.push_back({{size}, {(static_cast<double>(size) + half_size) / rate}});
  }
  return curves;
}

double value(const topology::Calibration& calibration, const std::string& subject,
             const char* parameter) {
  const topology::CalibrationEntry* entry = calibration.find(subject, parameter);
  REQUIRE(entry != nullptr);
  CHECK(entry->n >= 3);
  CHECK(entry->valid_low < entry->valid_high);
  return entry->value;
}

TEST_CASE("a line is found again, whatever its scale, and its errors grow with the noise") {
  for (const double scale : {1e-9, 1.0, 1e9}) {
    const std::vector<double> x = {1, 2, 4, 8, 16};
    std::vector<double> y;
    for (const double one : x) y.push_back(scale * (3 + 0.5 * one));
    const Line line = fitted_line(x, y);
    CHECK(line.intercept == Approx(3 * scale));
    CHECK(line.slope == Approx(0.5 * scale));
    CHECK(line.slope_error < 1e-6 * scale);
    y[2] *= 1.1;
    CHECK(fitted_line(x, y).slope_error > 1e-3 * scale);
  }
}

TEST_CASE("the constants that the planner's model was fed come back from its times") {
  for (const auto& [name, precision] : {std::pair("cpu-core", topology::Precision::fp32),
                                        {"h100-sxm5-80gb", topology::Precision::bf16}}) {
    const topology::AcceleratorKind& kind = accelerator(name);
    std::vector<std::string> notes;
    const topology::Calibration calibration = kernel_calibration(
        curves_of(kind, precision, 0.7, 90, 0.8, 3e6), kind, precision, "a test", notes);
    CHECK(notes.empty());
    CHECK(value(calibration, name, "gemm_efficiency") == Approx(0.7).epsilon(0.01));
    CHECK(value(calibration, name, "gemm_half_depth") == Approx(90).epsilon(0.03));
    CHECK(value(calibration, name, "hbm_efficiency") == Approx(0.8).epsilon(1e-6));
    CHECK(value(calibration, name, "hbm_half_size") == Approx(3e6).epsilon(1e-3));
    // What it is for: a file that is taken as a calibration.
    const auto read = topology::parse_calibration(to_json(calibration), "test.json");
    REQUIRE(read);
    CHECK(*read == calibration);
  }
}

TEST_CASE("more than the data sheet's rate counts as all of it, and is told") {
  const topology::AcceleratorKind& kind = accelerator("cpu-core");
  std::vector<std::string> notes;
  const topology::Calibration calibration =
      kernel_calibration(curves_of(kind, topology::Precision::fp32, 3, 10, 1.5, 0), kind,
                         topology::Precision::fp32, "a test", notes);
  CHECK(notes.size() == 2);
  CHECK(value(calibration, "cpu-core", "gemm_efficiency") == 1);
  CHECK(value(calibration, "cpu-core", "hbm_efficiency") == 1);
  CHECK(topology::parse_calibration(to_json(calibration), "test.json"));
}

TEST_CASE("times that do not grow with the work say nothing, and that is told") {
  const topology::AcceleratorKind& kind = accelerator("cpu-core");
  Curves curves = curves_of(kind, topology::Precision::fp32, 0.7, 90, 0.8, 3e6);
  for (ProductPoint& point : curves.products) point.time = seconds(1 / point.flops());
  for (CopyPoint& point : curves.copies) point.time = seconds(1e-3);
  std::vector<std::string> notes;
  const auto calibration =
      kernel_calibration(curves, kind, topology::Precision::fp32, "a test", notes);
  CHECK(calibration.entries.empty());
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].find("gemm_efficiency: the time does not grow with the depth") == 0);
  CHECK(notes[1].find("hbm_efficiency: the time does not grow with the size") == 0);
}

TEST_CASE("a calibration expects the times that it was fitted to") {
  const topology::AcceleratorKind& kind = accelerator("h100-sxm5-80gb");
  const auto precision = topology::Precision::bf16;
  const Curves curves = curves_of(kind, precision, 0.7, 90, 0.8, 3e6);
  std::vector<std::string> notes;
  const auto calibration = kernel_calibration(curves, kind, precision, "a test", notes);
  for (const ProductPoint& point : curves.products)
    CHECK(predicted_time(point, kind, precision, calibration).value ==
          Approx(point.time.value).epsilon(1e-6));
  const std::vector<CopyPoint> large = large_copies(curves);
  REQUIRE(large.size() == 4);
  for (const CopyPoint& point : large)
    CHECK(predicted_time(point, kind, calibration).value == Approx(point.time.value).epsilon(1e-6));
}

}  // namespace
}  // namespace railwright::workload
