#include "workload/roofline.hpp"

#include <cmath>
#include <random>

#include "samples.hpp"
#include "topology/calibration_overlay.hpp"

using namespace railwright;
using namespace railwright::workload;
using topology::AcceleratorKind;
using topology::Calibration;

namespace {

AcceleratorKind accelerator() {
  AcceleratorKind kind;
  kind.name = "test";
  kind.peak = {{Precision::fp32, teraflops(20)}, {Precision::bf16, teraflops(400)}};
  kind.memory_bandwidth = gigabytes_per_second(2000);
  return kind;
}

topology::CalibrationEntry entry_of(const char* subject, const char* parameter, double value) {
  topology::CalibrationEntry made;
  made.subject = subject;
  made.parameter = parameter;
  made.value = value;
  return made;
}

Calibration calibration(double efficiency = 0.8) {
  const auto entry = [](const char* parameter, double value) {
    return entry_of("test", parameter, value);
  };
  return {{entry("gemm_efficiency", efficiency), entry("attention_efficiency", 0.5),
           entry("gemm_half_depth", 100), entry("hbm_efficiency", 0.9), entry("hbm_half_size", 1e6),
           entry("launch_floor", 2e-6), entry("sustained_rate", 1),
           entry_of("framework", "vector_traffic", 1)}};
}

double time_of(const Kernel& kernel, const AcceleratorKind& kind = accelerator()) {
  return compute_time(kernel, kind, Precision::bf16, calibration()).total().value;
}

Kernel random_kernel(std::mt19937_64& random) {
  const auto magnitude = [&](double top) {
    return std::pow(10.0, static_cast<double>(random() % 1000) / 1000 * top);
  };
  return {"k",
          static_cast<KernelKind>(random() % 3),
          {magnitude(15)},
          magnitude(11),
          static_cast<int>(random() % 5) + 1};
}

}  // namespace

TEST_CASE("a kernel takes the larger of its tensor and its memory time, and a launch") {
  // 1e12 / (0.8 x 400e12) = 3.125 ms without a shape; peak 2.5 ms; memory 1e9 / 1.8e12 less.
  const ComputeTime gemm = compute_time({"g", KernelKind::gemm, {1e12}, 1e9, 1}, accelerator(),
                                        Precision::bf16, calibration());
  CHECK(gemm.tensor_peak.value == Approx(2.5e-3).epsilon(1e-12));
  CHECK(gemm.tensor_inefficiency.value == Approx(0.625e-3).epsilon(1e-12));
  CHECK(gemm.hbm.value == 0);
  CHECK(gemm.launch.value == 2e-6);
  // (1e9 + 1e6) / (0.9 x 2e12) = 556.1 us of memory alone.
  const ComputeTime vector = compute_time({"v", KernelKind::vector, {0}, 1e9, 3}, accelerator(),
                                          Precision::bf16, calibration());
  CHECK(vector.hbm.value == Approx(3 * 1.001e9 / 1.8e12).epsilon(1e-12));
  CHECK(vector.tensor_peak.value == 0);
  CHECK(vector.launch.value == 3 * 2e-6);
}

TEST_CASE("no part is negative, and more FLOPs or bytes never take less time") {
  std::mt19937_64 random(5);
  for (int i = 0; i < 2000; ++i) {
    const Kernel kernel = random_kernel(random);
    const ComputeTime time = compute_time(kernel, accelerator(), Precision::bf16, calibration());
    CHECK(time.tensor_peak.value >= 0);
    CHECK(time.tensor_inefficiency.value >= 0);
    CHECK(time.hbm.value >= 0);
    CHECK(time.launch.value > 0);
    Kernel more = kernel;
    more.flops.count *= 1.5;
    CHECK(time_of(more) >= time_of(kernel) * (1 - 1e-12));  // sums of parts round
    more = kernel;
    more.bytes *= 1.5;
    CHECK(time_of(more) >= time_of(kernel) * (1 - 1e-12));  // sums of parts round
  }
}

TEST_CASE("a faster accelerator is never slower, and never beats its data sheet") {
  std::mt19937_64 random(6);
  AcceleratorKind faster = accelerator();
  for (auto& [precision, rate] : faster.peak) rate = 2 * rate;
  faster.memory_bandwidth = 2 * faster.memory_bandwidth;
  for (int i = 0; i < 2000; ++i) {
    const Kernel kernel = random_kernel(random);
    CHECK(time_of(kernel, faster) <= time_of(kernel));
    const double peak = kernel.kind == KernelKind::vector ? 20e12 : 400e12;
    const double bound = std::max(kernel.flops.count / peak, kernel.bytes / 2e12);
    CHECK(time_of(kernel) >= kernel.count * bound * (1 - 1e-12));
  }
}

TEST_CASE("kernels of a body add up") {
  std::mt19937_64 random(8);
  std::vector<Kernel> kernels;
  double sum = 0;
  for (int i = 0; i < 50; ++i) {
    kernels.push_back(random_kernel(random));
    sum += time_of(kernels.back());
  }
  const ComputeTime all = compute_time(kernels, accelerator(), Precision::bf16, calibration());
  CHECK(all.total().value == Approx(sum).epsilon(1e-12));
}

TEST_CASE("a precision that is missing falls back to the next wider one") {
  AcceleratorKind kind = accelerator();
  CHECK(peak_rate(kind, Precision::fp8) == teraflops(400));
  CHECK(peak_rate(kind, Precision::fp16) == teraflops(400));
  CHECK(peak_rate(kind, Precision::tf32) == teraflops(20));
  kind.peak[Precision::fp16] = teraflops(390);
  CHECK(peak_rate(kind, Precision::fp16) == teraflops(390));
  kind.peak.erase(Precision::bf16);
  CHECK(peak_rate(kind, Precision::bf16) == teraflops(390));
  kind.peak.erase(Precision::fp16);
  CHECK(peak_rate(kind, Precision::bf16) == teraflops(20));
  kind.peak = {};
  CHECK(peak_rate(kind, Precision::bf16).per_second == 0);
}

TEST_CASE("an accelerator built on a measured one is as efficient as that") {
  const Kernel kernel{"g", KernelKind::gemm, {1e12}, 1e9, 1};
  AcceleratorKind variant = accelerator();
  variant.name = "test-with-more-memory";
  CHECK(time_of(kernel, variant) > 1.05 * time_of(kernel));  // class defaults: 0.70, not 0.80
  variant.calibrated_as = "test";
  CHECK(time_of(kernel, variant) == time_of(kernel));
}

TEST_CASE("without calibration the documented defaults hold") {
  const ComputeTime time =
      compute_time({"g", KernelKind::gemm, {1e12}, 0, 1}, accelerator(), Precision::bf16, {});
  // 1e12 / (0.70 x 400e12) at the full clock; the launch lets it cool down by a hair.
  const double full = 1e12 / (0.70 * 400e12);
  CHECK(time.total().value == Approx(full / 0.75 + 3e-6).epsilon(1e-3));
  CHECK(time.total().value < full / 0.75 + 3e-6);
}

// f^3 of the share of the time that tensor units work may be s^3 at most; docs/calibration.md.
TEST_CASE("the clock falls as far as the power of the whole body asks, and no further") {
  Calibration limited = calibration();
  std::erase_if(limited.entries, [](const auto& e) { return e.parameter == "sustained_rate"; });
  limited.entries.push_back(entry_of("test", "sustained_rate", 0.75));
  const Kernel gemm{"g", KernelKind::gemm, {1e12}, 0, 1};
  const auto tensor_of = [](const ComputeTime& time) {
    return (time.tensor_peak + time.tensor_inefficiency).value;
  };
  int full = 0, throttled = 0;
  double last = 0;
  for (double bytes = 1e3; bytes < 1e12; bytes *= 1.5) {
    const std::vector<Kernel> body{gemm, {"v", KernelKind::vector, {0}, bytes, 1}};
    const ComputeTime cold = compute_time(body, accelerator(), Precision::bf16, calibration());
    const ComputeTime warm = compute_time(body, accelerator(), Precision::bf16, limited);
    const double clock = tensor_of(cold) / tensor_of(warm);
    const double power = clock * clock * clock * tensor_of(warm) / warm.total().value;
    INFO(bytes << " B, clock " << clock);
    CHECK(clock >= 0.75);
    CHECK(clock <= 1);
    CHECK(warm.hbm == cold.hbm);
    if (clock < 1) CHECK(power == Approx(0.75 * 0.75 * 0.75).epsilon(1e-9));
    if (clock == 1) CHECK(power <= 0.75 * 0.75 * 0.75);
    (clock < 1 ? throttled : full) += 1;
    CHECK(warm.total().value > last);  // more work never takes less time
    last = warm.total().value;
  }
  CHECK(full > 5);
  CHECK(throttled > 5);
}

// A unit that waits does not switch. P of the body is what full waves of great depth would take, so
// that f^3 P / time is s^3 wherever the clock falls, and the time is f^2 P / s^3.
TEST_CASE("products that keep tensor units waiting run at a higher clock") {
  AcceleratorKind kind = accelerator();
  kind.compute_units = 100;
  Calibration limited = calibration();
  std::erase_if(limited.entries, [](const auto& e) { return e.parameter == "sustained_rate"; });
  limited.entries.push_back(entry_of("test", "sustained_rate", 0.75));
  const auto clock_of = [&](double rows, double depth) {
    const double flops = 2 * rows * 2560 * depth;
    const Kernel product{"g", KernelKind::gemm, {flops}, 0, 1, {rows, 2560, depth}};
    const ComputeTime cold = compute_time(product, kind, Precision::bf16, calibration());
    const ComputeTime warm = compute_time(product, kind, Precision::bf16, limited);
    const double clock = (cold.tensor_peak + cold.tensor_inefficiency).value /
                         (warm.tensor_peak + warm.tensor_inefficiency).value;
    const double switching = flops / (0.8 * 400e12);
    CHECK(warm.total().value ==
          Approx(clock * clock * switching / (0.75 * 0.75 * 0.75)).epsilon(1e-9));
    return clock;
  };
  // 25 x 20 tiles of 256 x 128 are 5 waves of 100. 52 x 20 of 128 x 128, at 0.96 of the rate, are
  // 10.4, which take as long as 11.
  const double full = clock_of(6400, 1e5), part = clock_of(6656, 1e5),
               shallow = clock_of(6400, 512);
  CHECK(full == Approx(0.75).epsilon(1e-3));
  CHECK(part == Approx(full * std::cbrt(11 / 10.4 / 0.96)).epsilon(1e-3));
  CHECK(shallow == Approx(full * std::cbrt((512.0 + 100) / 512)).epsilon(1e-2));
}

TEST_CASE("the host shows where it launches slower than the kernels of a body run") {
  Calibration slow_host = calibration();
  slow_host.entries.push_back(entry_of("framework:megatron", "host_launch", 1e-4));
  slow_host.entries.push_back(entry_of("framework:megatron", "vector_traffic", 1));
  slow_host = topology::with_framework(slow_host, "megatron");
  const Kernel small{"v", KernelKind::vector, {0}, 1e3, 1},
      large{"v", KernelKind::vector, {0}, 1e9, 1};
  // Three launches take 300 us; three small kernels some 8 us, a large one 556 us.
  const std::vector<Kernel> smalls(3, small), mixed{small, large, small};
  const auto time = [&](const std::vector<Kernel>& kernels) {
    return compute_time(kernels, accelerator(), Precision::bf16, slow_host);
  };
  CHECK(time(smalls).total().value == Approx(3e-4).epsilon(1e-12));
  CHECK(time(smalls).host.value > 2.9e-4);
  CHECK(time(mixed).host.value == 0);
  CHECK(time(mixed) == compute_time(mixed, accelerator(), Precision::bf16, calibration()));
}

TEST_CASE("what the host does not hide lies between the longer of both and their sum") {
  const std::vector<Kernel> body(3, {"v", KernelKind::vector, {0}, 1e7, 1});
  const auto time = [&](double exposed) {
    Calibration with = calibration();
    with.entries.push_back(entry_of("framework", "host_launch", 1e-5));
    with.entries.push_back(entry_of("framework", "host_exposed", exposed));
    return compute_time(body, accelerator(), Precision::bf16, with).total().value;
  };
  const double busy =
      compute_time(body, accelerator(), Precision::bf16, calibration()).total().value;
  CHECK(time(0) == Approx(std::max(busy, 3e-5)).epsilon(1e-12));
  CHECK(time(1) == Approx(busy + 3e-5).epsilon(1e-12));
  CHECK(time(0.5) == Approx((time(0) + time(1)) / 2).epsilon(1e-12));
}

TEST_CASE("calls of collectives cost the host a launch, shards their latency, and nothing else") {
  Calibration with = calibration();
  with.entries.push_back(entry_of("framework", "host_launch", 1e-4));
  with.entries.push_back(entry_of("framework", "shard_latency", 1e-3));
  const Kernel small{"v", KernelKind::vector, {0}, 1e3, 1};
  const Kernel call{"call", KernelKind::call, {0}, 0, 2}, shard{"s", KernelKind::shard, {0}, 0, 5};
  const auto time = [&](const std::vector<Kernel>& kernels, const Calibration& used) {
    return compute_time(kernels, accelerator(), Precision::bf16, used);
  };
  CHECK(time({small, call}, with).total().value == Approx(3e-4).epsilon(1e-12));
  CHECK(time({small, shard}, with).total().value == Approx(1e-4 + 5e-3).epsilon(1e-12));
  CHECK(time({small, call, shard}, calibration()) == time({small}, calibration()));
}

TEST_CASE("unfused element-wise kernels move more bytes, products do not") {
  Calibration eager = calibration();
  eager.entries.back().value = 2;
  const Kernel vector{"v", KernelKind::vector, {0}, 1e9, 1},
      gemm{"g", KernelKind::gemm, {1}, 1e9, 1};
  const auto hbm = [&](const Kernel& kernel, const Calibration& with) {
    return compute_time(kernel, accelerator(), Precision::bf16, with).hbm.value;
  };
  CHECK(hbm(vector, eager) == Approx((2e9 + 1e6) / 1.8e12).epsilon(1e-12));
  CHECK(hbm(gemm, eager) == hbm(gemm, calibration()));
  const Kernel exact{"e", KernelKind::exact_vector, {0}, 1e9, 1};
  CHECK(hbm(exact, eager) == hbm(exact, calibration()));
  CHECK(hbm(exact, eager) == hbm(vector, calibration()));
}
