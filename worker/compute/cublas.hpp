// The functions of cuBLAS and of CUDA's runtime that are used, found when the program runs.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <string>

#include "topology/result.hpp"

namespace railwright::worker::gpu {

// clang-format off
#define RAILWRIGHT_CUDA(X)                                                                   \
  X(cudaGetDeviceCount) X(cudaSetDevice) X(cudaFree) X(cudaMemcpyAsync) X(cudaMemcpy2DAsync) \
  X(cudaStreamCreateWithFlags) X(cudaStreamDestroy) X(cudaStreamSynchronize)                 \
  X(cudaEventDestroy) X(cudaEventRecord) X(cudaEventQuery) X(cudaEventElapsedTime)           \
  X(cudaGetErrorString)
#define RAILWRIGHT_CUBLAS(X)                                                                 \
  X(cublasCreate_v2) X(cublasDestroy_v2) X(cublasSetStream_v2) X(cublasGetVersion_v2)        \
  X(cublasSetWorkspace_v2) X(cublasSetMathMode)
// clang-format on

struct Functions {
#define RAILWRIGHT_POINTER(name) decltype(&::name) name = nullptr;
  RAILWRIGHT_CUDA(RAILWRIGHT_POINTER)
  RAILWRIGHT_CUBLAS(RAILWRIGHT_POINTER)
#undef RAILWRIGHT_POINTER
  // Overloaded for C++; the symbols are those of C.
  cudaError_t (*cudaMalloc)(void**, std::size_t) = nullptr;
  cudaError_t (*cudaEventCreate)(cudaEvent_t*) = nullptr;
  cublasStatus_t (*cublasGemmEx)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int,
                                 int, const void*, const void*, cudaDataType, int, const void*,
                                 cudaDataType, int, const void*, void*, cudaDataType, int,
                                 cublasComputeType_t, cublasGemmAlgo_t) = nullptr;
};

// Names in the environment as for the NCCL backend, and RAILWRIGHT_CUBLAS_LIBRARY. Errors are about
// `--device gpu`.
Result<Functions> load_functions();
// Makes a GPU that of the calling thread. `local_ranks` share those of this machine, one each.
Errors take_device(const Functions& functions, int local_rank, int local_ranks);
std::string version_of(const Functions& functions, cublasHandle_t handle);  // "cuBLAS 13.1.0"

}  // namespace railwright::worker::gpu
