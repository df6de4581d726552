// The functions of CUDA's runtime and of NCCL that are used, found when the program runs.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <memory>

#include "worker/nccl/nccl_backend.hpp"

namespace railwright::worker::nccl {

// It never comes to an end with these.
// clang-format off
#define RAILWRIGHT_CUDA_FUNCTIONS(X)                                                        \
  X(cudaGetDeviceCount) X(cudaSetDevice) X(cudaMalloc) X(cudaFree) X(cudaMemcpyAsync)       \
  X(cudaStreamCreateWithFlags) X(cudaStreamDestroy) X(cudaEventCreate) X(cudaEventDestroy)  \
  X(cudaEventRecord) X(cudaEventQuery) X(cudaEventElapsedTime) X(cudaGetErrorString)
#define RAILWRIGHT_NCCL_FUNCTIONS(X)                                                        \
  X(ncclGetVersion) X(ncclGetUniqueId) X(ncclCommInitRankConfig) X(ncclCommGetAsyncError)   \
  X(ncclCommAbort) X(ncclCommFinalize) X(ncclCommDestroy) X(ncclGetLastError)               \
  X(ncclGetErrorString) X(ncclAllReduce) X(ncclReduceScatter) X(ncclAllGather)              \
  X(ncclBroadcast) X(ncclReduce) X(ncclSend) X(ncclRecv) X(ncclGroupStart) X(ncclGroupEnd)
// clang-format on

// A table of function pointers under the names of the functions.
struct Library {
#define RAILWRIGHT_POINTER(name) decltype(&::name) name = nullptr;
  // cudaMalloc and cudaEventCreate are overloaded for C++; the symbols are those of C.
  RAILWRIGHT_NCCL_FUNCTIONS(RAILWRIGHT_POINTER)
  RAILWRIGHT_POINTER(cudaGetDeviceCount)
  RAILWRIGHT_POINTER(cudaSetDevice)
  RAILWRIGHT_POINTER(cudaFree)
  RAILWRIGHT_POINTER(cudaMemcpyAsync)
  RAILWRIGHT_POINTER(cudaStreamCreateWithFlags)
  RAILWRIGHT_POINTER(cudaStreamDestroy)
  RAILWRIGHT_POINTER(cudaEventDestroy)
  RAILWRIGHT_POINTER(cudaEventRecord)
  RAILWRIGHT_POINTER(cudaEventQuery)
  RAILWRIGHT_POINTER(cudaEventElapsedTime)
  RAILWRIGHT_POINTER(cudaGetErrorString)
#undef RAILWRIGHT_POINTER
  cudaError_t (*cudaMalloc)(void**, std::size_t) = nullptr;
  cudaError_t (*cudaEventCreate)(cudaEvent_t*) = nullptr;
  decltype(&::ncclCommInitRankScalable) ncclCommInitRankScalable = nullptr;  // since 2.23
  decltype(&::ncclCommSplit) ncclCommSplit = nullptr;                        // since 2.18
  int version = 0;  // of NCCL, as NCCL counts: 22809
};

// Loads both and looks at their versions.
Result<Library> load_library(const NcclLibraries& libraries);

}  // namespace railwright::worker::nccl
