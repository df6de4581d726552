// From FLOPs and bytes to time on one accelerator.
//
//   T = max(FLOPs / (peak x efficiency), bytes / (HBM bandwidth x efficiency)) + launch floor
//
// Efficiencies are calibration, fall off for small problems, and the parts are kept apart so that
// blame can name them: time at peak, what inefficiency adds, what HBM adds, what launching adds.
//
//   efficiency(x) = largest efficiency x / (x + half size)        x: FLOPs or bytes of one launch
//
// Calibration of the accelerator's subject (topology/calibration.hpp), and what is used where it is
// silent (the values that data/calibration.json gives for "*"):
//   gemm_efficiency 0.70, attention_efficiency 0.50, gemm_half_size 5e9 FLOP (both),
//   hbm_efficiency 0.83, hbm_half_size 14e6 B, launch_floor 3e-6 s.
// Vector kernels run at the accelerator's fp32 rate, in practice always bound by HBM.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::workload {

enum class KernelKind : std::uint8_t { gemm, attention, vector };

// `count` equal kernel launches on one rank; flops and bytes are of one launch.
struct Kernel {
  std::string name;  // "qkv", "mlp_up", "adam"
  KernelKind kind = KernelKind::vector;
  Flops flops;
  double bytes = 0;  // moved to and from HBM
  int count = 1;
  bool operator==(const Kernel&) const = default;
};

// Seconds by cause; they add up to the time of the work.
struct ComputeTime {
  Seconds tensor_peak;          // FLOPs at the data sheet's rate
  Seconds tensor_inefficiency;  // the rest of the tensor time
  Seconds hbm;                  // beyond tensor time, waiting for memory
  Seconds launch;
  Seconds total() const { return tensor_peak + tensor_inefficiency + hbm + launch; }
  bool operator==(const ComputeTime&) const = default;
};
// The rate of `precision`, or of the next wider one that the accelerator has: fp4 -> fp8 -> bf16 or
// fp16 (whichever is there) -> tf32 -> fp32, and fp32 -> tf32; at last the slowest it names.
// 0 when it names none: then only HBM and launches count.
FlopRate peak_rate(const topology::AcceleratorKind& accelerator, topology::Precision precision);

ComputeTime compute_time(const Kernel& kernel, const topology::AcceleratorKind& accelerator,
                         topology::Precision precision, const topology::Calibration& calibration);
ComputeTime compute_time(const std::vector<Kernel>& kernels,
                         const topology::AcceleratorKind& accelerator,
                         topology::Precision precision, const topology::Calibration& calibration);

}  // namespace railwright::workload
