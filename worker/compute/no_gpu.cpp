// Where the headers of CUDA were not found: a GPU can only be missed.
#include "worker/compute/compute.hpp"

namespace railwright::worker {

Result<std::unique_ptr<Processor>> make_gpu(int) {
  return failure({}, "--device gpu: this build has no CUDA",
                 "build where cuda_runtime_api.h and cublas_v2.h are found, or take --device cpu");
}

}  // namespace railwright::worker
