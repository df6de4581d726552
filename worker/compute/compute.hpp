// `railwright-worker kernels`: how fast this machine multiplies matrices and moves memory, as a
// calibration of its accelerator (workload/kernel_fit.hpp).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "topology/topology.hpp"
#include "worker/world.hpp"

namespace railwright::worker {

struct KernelOptions {
  std::string accelerator =
      "cpu-core";               // of the catalogue: what is measured counts as a part of it
  std::string device = "auto";  // cpu, gpu; auto: a GPU where one is found
  Bytes largest;                // copy; 0: 256 MiB on a CPU, 4 GiB on a GPU
  std::string output, json_path;
};

// ---- what measures -----------------------------------------------------------------------------

class Processor {
 public:
  virtual ~Processor() = default;
  virtual std::string name() const = 0;  // "Eigen on one core", "cuBLAS 13.1.0"
  virtual bool on_gpu() const = 0;
  virtual topology::Precision precision() const = 0;  // of the products
  // Seconds of one, the median of several; an error where memory or the library fails.
  virtual Result<Seconds> multiply(int m, int n, int k) = 0;
  virtual Result<Seconds> copy(Bytes moved) = 0;  // half of it is read, half written
};
std::unique_ptr<Processor> make_cpu();
// Libraries as of the NCCL backend, and RAILWRIGHT_CUBLAS_LIBRARY, else libcublas.so.
Result<std::unique_ptr<Processor>> make_gpu(int local_rank);

// Collective: all ranks measure at once, as they work at once; a point is the mean of their times.
int measure_kernels(const World& world, const KernelOptions& options);

}  // namespace railwright::worker
