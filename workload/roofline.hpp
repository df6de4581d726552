// From FLOPs and bytes to time on one accelerator.
//
//   T = max(tensor time, (bytes + half size) / (HBM bandwidth x efficiency)) + launch floor
//
// Tensor time: of a matrix product by tiles and waves (matrix_time.hpp), of flash attention
// FLOPs x waves / (peak x efficiency); both at the clock that power allows: sustained_rate where
// tensor units never rest, more where other kernels, launches and the host let them
// (clock_under in roofline.cpp). The parts are kept apart so that blame can name them: time at
// peak, what inefficiency adds, what HBM adds, what launching adds, and where the host cannot
// launch as fast as the accelerator runs, what waiting for it adds.
//
// Calibration of the accelerator's subject (topology/calibration.hpp), and what is used where it is
// silent (the values that data/calibration.json gives for "*"):
//   gemm_efficiency 0.70, gemm_half_depth 200, attention_efficiency 0.50, sustained_rate 0.75,
//   hbm_efficiency 0.83, hbm_half_size 14e6 B, launch_floor 3e-6 s;
// of the framework (subject "framework", chosen by topology::with_framework):
//   host_launch 0 s per kernel, vector_traffic 1.5 x the bytes of fused element-wise kernels,
//   host_exposed 0: the share of the shorter of launches and kernels that the longer does not hide,
//   shard_latency 0 s per shard.
// Vector kernels run at the accelerator's fp32 rate, in practice always bound by HBM.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/topology.hpp"
#include "workload/matrix_time.hpp"

namespace railwright::workload {

enum class KernelKind : std::uint8_t {
  gemm,
  attention,
  vector,
  exact_vector,  // the same where its bytes are known: vector_traffic does not apply
  call,   // no kernel of ours: the host calls a collective, which takes it as long as a launch
  shard,  // no kernel: what the framework waits for each shard that it sends off by itself
};

// `count` equal kernel launches on one rank; flops and bytes are of one launch.
struct Kernel {
  std::string name;  // "qkv", "mlp_up", "adam"
  KernelKind kind = KernelKind::vector;
  Flops flops;
  double bytes = 0;  // moved to and from HBM
  int count = 1;
  MatrixShape shape = {};  // of one launch; attention: m queries, n keys, k per head, batch x heads
  bool operator==(const Kernel&) const = default;
};

// Seconds by cause; they add up to the time of the work.
struct ComputeTime {
  Seconds tensor_peak;          // FLOPs at the data sheet's rate
  Seconds tensor_inefficiency;  // the rest of the tensor time
  Seconds hbm;                  // beyond tensor time, waiting for memory
  Seconds launch;
  Seconds host;  // the accelerator waits for the next launch; only of whole bodies
  Seconds total() const { return tensor_peak + tensor_inefficiency + hbm + launch + host; }
  bool operator==(const ComputeTime&) const = default;
};
// The rate of `precision`, or of the next wider one that the accelerator has: nvfp4 -> fp4 -> fp8,
// mxfp8 -> fp8, fp8 -> bf16 or fp16 (whichever is there) -> tf32 -> fp32, and fp32 -> tf32; at last
// the slowest it names. 0 when it names none: then only HBM and launches count.
FlopRate peak_rate(const topology::AcceleratorKind& accelerator, topology::Precision precision);

ComputeTime compute_time(const Kernel& kernel, const topology::AcceleratorKind& accelerator,
                         topology::Precision precision, const topology::Calibration& calibration);
// Of a body: the host launches ahead while kernels run, so it shows only where all launches
// together take longer than all kernels.
ComputeTime compute_time(const std::vector<Kernel>& kernels,
                         const topology::AcceleratorKind& accelerator,
                         topology::Precision precision, const topology::Calibration& calibration);

}  // namespace railwright::workload
