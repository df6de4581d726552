// A double of cuBLAS for the double of CUDA's runtime: a product adds to its stream what it takes
// on a device of 1 TFLOP/s that reaches half of it at depth 128.
#include <cublas_v2.h>

#include <cstdlib>

#include "tests/worker/nccl/fake_cudart.hpp"

namespace {

struct Handle {
  FakeStream* stream = nullptr;
};
Handle* handle_of(cublasHandle_t handle) { return reinterpret_cast<Handle*>(handle); }

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = reinterpret_cast<cublasHandle_t>(new Handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle_of(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle_of(handle)->stream = reinterpret_cast<FakeStream*>(stream);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  *version = 130100;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t, cublasOperation_t, int m,
                            int n, int k, const void*, const void*, cudaDataType, int, const void*,
                            cudaDataType, int, const void*, void*, cudaDataType, int,
                            cublasComputeType_t, cublasGemmAlgo_t) {
  if (std::getenv("RAILWRIGHT_FAKE_CUBLAS_FAILS") != nullptr) return CUBLAS_STATUS_EXECUTION_FAILED;
  const double seconds = 2.0 * m * n * (k + 128) / 1e12;
  handle_of(handle)->stream->worked_ns += static_cast<long>(seconds * 1e9);
  return CUBLAS_STATUS_SUCCESS;
}
}
