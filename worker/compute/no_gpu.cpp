// Where the headers of CUDA were not found: a GPU can only be missed.
#include "worker/compute/compute.hpp"
#include "worker/train/products.hpp"

namespace railwright::worker {
namespace {

tl::unexpected<Errors> no_cuda() {
  return failure({}, "--device gpu: this build has no CUDA",
                 "build where cuda_runtime_api.h and cublas_v2.h are found, or take --device cpu");
}

}  // namespace

Result<std::unique_ptr<Processor>> make_gpu(int) { return no_cuda(); }

namespace train {

Result<std::unique_ptr<Products>> make_gpu_products(int, int) { return no_cuda(); }

}  // namespace train
}  // namespace railwright::worker
