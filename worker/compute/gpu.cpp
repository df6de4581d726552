// cuBLAS and CUDA's runtime, found when the program runs.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>

#include "worker/bench/interval.hpp"
#include "worker/compute/compute.hpp"
#include "worker/loader.hpp"

namespace railwright::worker {
namespace {

// clang-format off
#define RAILWRIGHT_CUDA(X)                                                                   \
  X(cudaGetDeviceCount) X(cudaSetDevice) X(cudaFree) X(cudaMemcpyAsync)                      \
  X(cudaStreamCreateWithFlags) X(cudaStreamDestroy) X(cudaEventDestroy) X(cudaEventRecord)   \
  X(cudaEventQuery) X(cudaEventElapsedTime) X(cudaGetErrorString)
#define RAILWRIGHT_CUBLAS(X)                                                                 \
  X(cublasCreate_v2) X(cublasDestroy_v2) X(cublasSetStream_v2) X(cublasGetVersion_v2)        \
  X(cublasGemmEx)
// clang-format on

struct Functions {
#define RAILWRIGHT_POINTER(name) decltype(&::name) name = nullptr;
  RAILWRIGHT_CUDA(RAILWRIGHT_POINTER)
  RAILWRIGHT_POINTER(cublasCreate_v2)
  RAILWRIGHT_POINTER(cublasDestroy_v2)
  RAILWRIGHT_POINTER(cublasSetStream_v2)
  RAILWRIGHT_POINTER(cublasGetVersion_v2)
#undef RAILWRIGHT_POINTER
  // Overloaded for C++; the symbols are those of C.
  cudaError_t (*cudaMalloc)(void**, std::size_t) = nullptr;
  cudaError_t (*cudaEventCreate)(cudaEvent_t*) = nullptr;
  cublasStatus_t (*cublasGemmEx)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int,
                                 int, const void*, const void*, cudaDataType, int, const void*,
                                 cudaDataType, int, const void*, void*, cudaDataType, int,
                                 cublasComputeType_t, cublasGemmAlgo_t) = nullptr;
};

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
#undef RAILWRIGHT_FIND
  if (missing.empty()) return functions;
  return failure({}, "--device gpu: the libraries lack " + missing,
                 "install matching versions of CUDA and cuBLAS, or take --device cpu");
}

class Gpu : public Processor {
 public:
  explicit Gpu(const Functions& functions) : f_(functions) {}
  ~Gpu() override {
    if (blas_ != nullptr) f_.cublasDestroy_v2(blas_);
    if (begin_ != nullptr) f_.cudaEventDestroy(begin_);
    if (end_ != nullptr) f_.cudaEventDestroy(end_);
    if (stream_ != nullptr) f_.cudaStreamDestroy(stream_);
  }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  bool open() {
    return f_.cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking) == cudaSuccess &&
           f_.cudaEventCreate(&begin_) == cudaSuccess && f_.cudaEventCreate(&end_) == cudaSuccess &&
           f_.cublasCreate_v2(&blas_) == CUBLAS_STATUS_SUCCESS &&
           f_.cublasSetStream_v2(blas_, stream_) == CUBLAS_STATUS_SUCCESS;
  }
  std::string name() const override {
    int version = 0;
    f_.cublasGetVersion_v2(blas_, &version);
    return fmt::format("cuBLAS {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  }
  bool on_gpu() const override { return true; }
  topology::Precision precision() const override { return topology::Precision::bf16; }
  Result<Seconds> multiply(int m, int n, int k) override;
  Result<Seconds> copy(Bytes moved) override;

 private:
  // Memory of the GPU while a point is measured.
  struct Block {
    Block(const Functions& functions, std::size_t bytes) : f(functions) {
      if (f.cudaMalloc(&memory, bytes) != cudaSuccess) memory = nullptr;
    }
    ~Block() {
      if (memory != nullptr) f.cudaFree(memory);
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    const Functions& f;
    void* memory = nullptr;
  };
  template <class Enqueue>
  Result<Seconds> median_time(Enqueue enqueue);
  template <class Enqueue>
  Result<Seconds> time_of(int times, Enqueue enqueue);

  Functions f_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  cublasHandle_t blas_ = nullptr;
};

template <class Enqueue>
Result<Seconds> Gpu::time_of(int times, Enqueue enqueue) {
  f_.cudaEventRecord(begin_, stream_);
  for (int i = 0; i < times; ++i)
    if (!enqueue()) return failure({}, "the GPU refuses a kernel", "look at nvidia-smi and dmesg");
  f_.cudaEventRecord(end_, stream_);
  cudaError_t state = cudaErrorNotReady;
  while (state == cudaErrorNotReady) state = f_.cudaEventQuery(end_);
  if (state != cudaSuccess)
    return failure({}, std::string("the GPU fails: ") + f_.cudaGetErrorString(state),
                   "look at nvidia-smi and dmesg");
  float milliseconds = 0;
  f_.cudaEventElapsedTime(&milliseconds, begin_, end_);
  return Seconds{milliseconds * 1e-3 / times};
}

template <class Enqueue>
Result<Seconds> Gpu::median_time(Enqueue enqueue) {
  constexpr double turn = 4e-3;
  constexpr int turns = 7;
  for (int i = 0; i < 2; ++i)
    if (auto warm = time_of(1, enqueue); !warm) return warm;
  const Result<Seconds> one = time_of(1, enqueue);
  if (!one) return one;
  const int times = std::clamp(static_cast<int>(turn / std::max(one->value, 1e-7)), 1, 1000);
  std::vector<double> all;
  for (int i = 0; i < turns; ++i) {
    const Result<Seconds> time = time_of(times, enqueue);
    if (!time) return time;
    all.push_back(time->value);
  }
  return Seconds{median_of(all).value};
}

Result<Seconds> no_memory(std::size_t bytes) {
  return failure({}, fmt::format("the GPU has no {} bytes left", bytes),
                 "give a smaller --largest");
}

Result<Seconds> Gpu::multiply(int m, int n, int k) {
  constexpr std::size_t width = 2;
  const auto bytes = [](int rows, int columns) {
    return width * static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  };
  const Block a(f_, bytes(m, k)), b(f_, bytes(k, n)), c(f_, bytes(m, n));
  if (a.memory == nullptr || b.memory == nullptr || c.memory == nullptr)
    return no_memory(bytes(m, k) + bytes(k, n) + bytes(m, n));
  const float one = 1, zero = 0;
  return median_time([&] {
    return f_.cublasGemmEx(blas_, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, a.memory, CUDA_R_16BF, k,
                           b.memory, CUDA_R_16BF, k, &zero, c.memory, CUDA_R_16BF, m,
                           CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS;
  });
}

Result<Seconds> Gpu::copy(Bytes moved) {
  const std::size_t half = moved.count / 2;
  const Block source(f_, half), target(f_, half);
  if (source.memory == nullptr || target.memory == nullptr) return no_memory(moved.count);
  return median_time([&] {
    return f_.cudaMemcpyAsync(target.memory, source.memory, half, cudaMemcpyDeviceToDevice,
                              stream_) == cudaSuccess;
  });
}

}  // namespace

Result<std::unique_ptr<Processor>> make_gpu(int local_rank) {
  const Result<Functions> functions = load_functions();
  if (!functions) return tl::unexpected(functions.error());
  int devices = 0;
  const cudaError_t asked = functions->cudaGetDeviceCount(&devices);
  if (asked != cudaSuccess || local_rank >= devices ||
      functions->cudaSetDevice(local_rank) != cudaSuccess)
    return failure(
        {},
        fmt::format("--device gpu: GPU {} is not found, CUDA counts {}: {}", local_rank,
                    asked == cudaSuccess ? devices : 0, functions->cudaGetErrorString(asked)),
        "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or take --device cpu");
  auto gpu = std::make_unique<Gpu>(*functions);
  if (!gpu->open())
    return failure({}, "--device gpu: cuBLAS does not start", "look at nvidia-smi and its memory");
  return gpu;
}

}  // namespace railwright::worker
