#include "worker/compute/cublas.hpp"

#include <fmt/format.h>

#include "worker/loader.hpp"

namespace railwright::worker::gpu {

Result<Functions> load_functions() {
  std::string why;
  void* cuda = open_library("RAILWRIGHT_CUDART_LIBRARY",
                            {"libcudart.so", "libcudart.so.13", "libcudart.so.12"}, why);
  if (cuda == nullptr)
    return failure(
        {}, "--device gpu: CUDA's runtime cannot be loaded: " + why,
        "install CUDA, or name the file in RAILWRIGHT_CUDART_LIBRARY; else --device cpu");
  void* blas = open_library("RAILWRIGHT_CUBLAS_LIBRARY",
                            {"libcublas.so", "libcublas.so.13", "libcublas.so.12"}, why);
  if (blas == nullptr)
    return failure({}, "--device gpu: cuBLAS cannot be loaded: " + why,
                   "install it, or name the file in RAILWRIGHT_CUBLAS_LIBRARY; else --device cpu");
  Functions functions;
  std::string missing;
#define RAILWRIGHT_FIND(name) find_function(cuda, #name, functions.name, missing);
  RAILWRIGHT_CUDA(RAILWRIGHT_FIND)
  RAILWRIGHT_FIND(cudaMalloc)
  RAILWRIGHT_FIND(cudaEventCreate)
#undef RAILWRIGHT_FIND
#define RAILWRIGHT_FIND(name) find_function(blas, #name, functions.name, missing);
  RAILWRIGHT_CUBLAS(RAILWRIGHT_FIND)
  RAILWRIGHT_FIND(cublasGemmEx)
#undef RAILWRIGHT_FIND
  if (missing.empty()) return functions;
  return failure({}, "--device gpu: the libraries lack " + missing,
                 "install matching versions of CUDA and cuBLAS, or take --device cpu");
}

Errors take_device(const Functions& functions, int local_rank, int local_ranks) {
  int devices = 0;
  const cudaError_t asked = functions.cudaGetDeviceCount(&devices);
  if (asked == cudaSuccess && devices > 0 && local_ranks > devices)
    return {{{},
             fmt::format("--device gpu: {} ranks on this machine share {} GPU{}", local_ranks,
                         devices, devices == 1 ? "" : "s"),
             fmt::format("start at most {} per machine, or take --device cpu", devices)}};
  const cudaError_t set =
      asked == cudaSuccess ? functions.cudaSetDevice(local_rank) : cudaErrorNoDevice;
  if (set == cudaSuccess) return {};
  return {{{},
           fmt::format("--device gpu: GPU {} is not found, CUDA counts {}: {}", local_rank,
                       asked == cudaSuccess ? devices : 0,
                       functions.cudaGetErrorString(asked == cudaSuccess ? set : asked)),
           "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or take --device cpu"}};
}

std::string version_of(const Functions& functions, cublasHandle_t handle) {
  int version = 0;
  functions.cublasGetVersion_v2(handle, &version);
  return fmt::format("cuBLAS {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace railwright::worker::gpu
