// A double of cuBLAS for the double of CUDA's runtime. Products in bf16 compute nothing and add to
// their stream what they take on a device of 1 TFLOP/s that reaches half of it at depth 128. Those
// in float32 are computed, added up from the last to the first, and refused where they might not
// repeat: without the caller's workspace, or where TF32 is not forbidden.
#include <cublas_v2.h>

#include <atomic>
#include <cstdlib>

#include "tests/worker/nccl/fake_cudart.hpp"

namespace {

struct Handle {
  FakeStream* stream = nullptr;
  void* workspace = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
};
Handle* handle_of(cublasHandle_t handle) { return reinterpret_cast<Handle*>(handle); }

// Column-major, as cuBLAS has it.
struct Columns {
  const float* values;
  int stride;
  bool turned;
  float at(int row, int column) const {
    return turned ? values[column + static_cast<long>(row) * stride]
                  : values[row + static_cast<long>(column) * stride];
  }
};

void multiply(const Columns& a, const Columns& b, float* c, int stride, int m, int n, int k) {
  for (int column = 0; column < n; ++column)
    for (int row = 0; row < m; ++row) {
      float sum = 0;
      for (int i = k; i-- > 0;) sum += a.at(row, i) * b.at(i, column);
      c[row + static_cast<long>(column) * stride] = sum;
    }
}

}  // namespace

extern "C" {

// Products in float32 since the test has set it to 0.
std::atomic<int>* fake_cublas_products() {
  static std::atomic<int> products;
  return &products;
}

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
  handle_of(handle)->workspace = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t) {
  handle_of(handle)->workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle_of(handle)->mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  *version = 130100;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_form,
                            cublasOperation_t b_form, int m, int n, int k, const void*,
                            const void* a, cudaDataType type, int a_stride, const void* b,
                            cudaDataType, int b_stride, const void*, void* c, cudaDataType,
                            int c_stride, cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (std::getenv("RAILWRIGHT_FAKE_CUBLAS_FAILS") != nullptr) return CUBLAS_STATUS_EXECUTION_FAILED;
  Handle& h = *handle_of(handle);
  if (type == CUDA_R_32F) {
    if (h.workspace == nullptr || h.mode != CUBLAS_PEDANTIC_MATH || compute != CUBLAS_COMPUTE_32F)
      return CUBLAS_STATUS_NOT_INITIALIZED;
    const bool a_turned = a_form == CUBLAS_OP_T, b_turned = b_form == CUBLAS_OP_T;
    if (a_stride < (a_turned ? k : m) || b_stride < (b_turned ? n : k) || c_stride < m)
      return CUBLAS_STATUS_INVALID_VALUE;
    multiply({static_cast<const float*>(a), a_stride, a_turned},
             {static_cast<const float*>(b), b_stride, b_turned}, static_cast<float*>(c), c_stride,
             m, n, k);
    ++*fake_cublas_products();
    return CUBLAS_STATUS_SUCCESS;
  }
  const double seconds = 2.0 * m * n * (k + 128) / 1e12;
  h.stream->worked_ns += static_cast<long>(seconds * 1e9);
  return CUBLAS_STATUS_SUCCESS;
}
}
