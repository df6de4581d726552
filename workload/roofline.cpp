#include "workload/roofline.hpp"

#include <algorithm>
#include <initializer_list>

namespace railwright::workload {

namespace {

using topology::AcceleratorKind;
using topology::Calibration;
using topology::Precision;

constexpr double default_gemm_efficiency = 0.70;
constexpr double default_attention_efficiency = 0.50;
constexpr double default_gemm_half_depth = 200;
constexpr double default_sustained_rate = 0.75;
constexpr double default_hbm_efficiency = 0.83;
constexpr double default_hbm_half_size = 14e6;
constexpr double default_launch_floor = 3e-6;
// FlashAttention-2's backward makes scores again and keeps less of the units busy: measured on an
// H100, 0.76 to 0.87 of the forward's rate (data/measurements/kernels-h100.csv).
constexpr double backward_share = 0.85;

// The calibration of one accelerator, looked up once for all kernels of a body.
struct Constants {
  FlopRate tensor_rate, vector_rate;
  Bandwidth memory;
  int units = 0;
  double sustained, gemm, half_depth, attention, hbm, hbm_half, launch;
  double host_launch, host_exposed, vector_traffic, shard;  // of the framework
};

Constants constants_of(const AcceleratorKind& accelerator, Precision precision,
                       const Calibration& calibration) {
  const auto value = [&](const char* parameter, double fallback) {
    return calibration.value_or(accelerator.subject(), parameter, fallback);
  };
  return {peak_rate(accelerator, precision),
          peak_rate(accelerator, Precision::fp32),
          accelerator.memory_bandwidth,
          accelerator.compute_units,
          value("sustained_rate", default_sustained_rate),
          value("gemm_efficiency", default_gemm_efficiency),
          value("gemm_half_depth", default_gemm_half_depth),
          value("attention_efficiency", default_attention_efficiency),
          value("hbm_efficiency", default_hbm_efficiency),
          value("hbm_half_size", default_hbm_half_size),
          value("launch_floor", default_launch_floor),
          calibration.value_or("framework", "host_launch", 0),
          calibration.value_or("framework", "host_exposed", 0),
          calibration.value_or("framework", "vector_traffic", 1.5),
          calibration.value_or("framework", "shard_latency", 0)};
}

// With efficiency x / (x + half) the time is (x + half) / rate: never falls when x grows.
double ramped_seconds(double amount, double half, double rate) {
  if (amount <= 0 || rate <= 0) return 0;
  return (amount + half) / rate;
}

// At the full clock.
double tensor_seconds(const Kernel& kernel, const Constants& c) {
  switch (kernel.kind) {
    case KernelKind::vector:
    case KernelKind::exact_vector:
      return ramped_seconds(kernel.flops.count, 0, c.vector_rate.per_second);
    case KernelKind::attention: {
      const bool backward = kernel.name.ends_with("backward");
      const double rate = c.attention * (backward ? backward_share : 1) * c.tensor_rate.per_second;
      return attention_waves(kernel.shape, c.units) * ramped_seconds(kernel.flops.count, 0, rate);
    }
    case KernelKind::call:
    case KernelKind::shard:
      return 0;
    case KernelKind::gemm:
      break;
  }
  const FlopRate rate = c.gemm * c.tensor_rate;
  if (kernel.shape.told()) return matrix_time(kernel.shape, c.units, c.half_depth, rate).value;
  return ramped_seconds(kernel.flops.count, 0, rate.per_second);
}

ComputeTime time_of(const Kernel& kernel, const Constants& c, double clock) {
  if (kernel.kind == KernelKind::call) return {};
  if (kernel.kind == KernelKind::shard) return {{}, {}, {}, {}, {kernel.count * c.shard}};
  const bool exact = kernel.kind == KernelKind::exact_vector;
  const bool vector = exact || kernel.kind == KernelKind::vector;
  const double rate = (vector ? c.vector_rate : c.tensor_rate).per_second;
  const double peak = ramped_seconds(kernel.flops.count, 0, rate);
  const double tensor = std::max(peak, tensor_seconds(kernel, c) / clock);
  const double bytes = vector && !exact ? c.vector_traffic * kernel.bytes : kernel.bytes;
  const double half = vector ? c.hbm_half : 0;  // a product loads its operands while it computes
  const double memory = ramped_seconds(bytes, half, c.hbm * c.memory.bytes_per_second);
  const double count = kernel.count;
  return {{count * peak},
          {count * (tensor - peak)},
          {count * std::max(0.0, memory - tensor)},
          {count * c.launch},
          {}};
}

ComputeTime time_at(double clock, const std::vector<Kernel>& kernels, const Constants& constants) {
  ComputeTime sum;
  double launches = 0;
  Seconds shards;
  for (const Kernel& kernel : kernels) {
    if (kernel.kind != KernelKind::shard) launches += kernel.count;
    const ComputeTime one = time_of(kernel, constants, clock);
    sum.tensor_peak += one.tensor_peak;
    sum.tensor_inefficiency += one.tensor_inefficiency;
    sum.hbm += one.hbm;
    sum.launch += one.launch;
    shards += one.host;
  }
  const double host = launches * constants.host_launch, busy = sum.total().value;
  sum.host = {std::max(0.0, host - busy) + constants.host_exposed * std::min(host, busy)};
  sum.host += shards;
  return sum;
}

// Of the kernels' tensor time what full waves of great depth would take: while units wait for
// operands, or for the last wave to end, they do not switch.
double switching_seconds(const std::vector<Kernel>& kernels, const Constants& c) {
  double sum = 0;
  for (const Kernel& kernel : kernels) {
    if (kernel.kind == KernelKind::gemm)
      sum += kernel.count * kernel.flops.count / (c.gemm * c.tensor_rate.per_second);
    if (kernel.kind == KernelKind::attention)
      sum += kernel.count * tensor_seconds(kernel, c) / attention_waves(kernel.shape, c.units);
  }
  return sum;
}

// The clock f at which the mean power stays within the limit. Switching takes C V^2 f, and the
// voltage goes with the clock: f^3, while tensor units switch, a share u = P / (T + O f) of the
// time (P, T, O: switching, tensor kernels and other time at the full clock). The limit is met at
// u = 1 by f = s, so that f^3 u = s^3: the one positive root of f^3 P = s^3 (T + O f), or the full
// clock.
double clock_under(const ComputeTime& cold, double switching, double sustained) {
  if (!(switching > 0)) return 1;
  const double tensor = (cold.tensor_peak + cold.tensor_inefficiency).value;
  const double most = sustained * sustained * sustained / switching;
  const double cube = most * tensor, slope = most * (cold.total().value - tensor);
  if (cube + slope >= 1) return 1;
  double clock = 1;  // of a convex function, from above: Newton's steps fall to the root
  for (int step = 0; step < 8; ++step)
    clock -= (clock * clock * clock - slope * clock - cube) / (3 * clock * clock - slope);
  return clock;
}

using Precisions = std::initializer_list<Precision>;

Precisions wider(Precision precision) {
  using enum Precision;
  static constexpr Precisions from_nvfp4 = {nvfp4, fp4, fp8, bf16, fp16, tf32, fp32};
  static constexpr Precisions from_fp4 = {fp4, fp8, bf16, fp16, tf32, fp32};
  static constexpr Precisions from_mxfp8 = {mxfp8, fp8, bf16, fp16, tf32, fp32};
  static constexpr Precisions from_fp8 = {fp8, bf16, fp16, tf32, fp32};
  static constexpr Precisions from_bf16 = {bf16, fp16, tf32, fp32};
  static constexpr Precisions from_fp16 = {fp16, bf16, tf32, fp32};
  static constexpr Precisions from_tf32 = {tf32, fp32};
  static constexpr Precisions from_fp32 = {fp32, tf32};
  switch (precision) {
    case nvfp4:
      return from_nvfp4;
    case fp4:
      return from_fp4;
    case mxfp8:
      return from_mxfp8;
    case fp8:
      return from_fp8;
    case bf16:
      return from_bf16;
    case fp16:
      return from_fp16;
    case tf32:
      return from_tf32;
    case fp32:
      return from_fp32;
  }
  return from_bf16;
}

}  // namespace

FlopRate peak_rate(const AcceleratorKind& accelerator, Precision precision) {
  for (const Precision candidate : wider(precision)) {
    const auto found = accelerator.peak.find(candidate);
    if (found != accelerator.peak.end()) return found->second;
  }
  FlopRate slowest{0};
  for (const auto& [other, rate] : accelerator.peak)
    if (slowest.per_second == 0 || rate < slowest) slowest = rate;
  return slowest;
}

ComputeTime compute_time(const Kernel& kernel, const AcceleratorKind& accelerator,
                         Precision precision, const Calibration& calibration) {
  return compute_time(std::vector<Kernel>{kernel}, accelerator, precision, calibration);
}

ComputeTime compute_time(const std::vector<Kernel>& kernels, const AcceleratorKind& accelerator,
                         Precision precision, const Calibration& calibration) {
  const Constants constants = constants_of(accelerator, precision, calibration);
  const ComputeTime cold = time_at(1, kernels, constants);
  const double clock =
      clock_under(cold, switching_seconds(kernels, constants), constants.sustained);
  return clock < 1 ? time_at(clock, kernels, constants) : cold;
}

}  // namespace railwright::workload
