// Products by cuBLAS and copies in the memory of a GPU.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "worker/bench/interval.hpp"
#include "worker/compute/compute.hpp"
#include "worker/compute/cublas.hpp"

namespace railwright::worker {
namespace {

using gpu::Functions;

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
  std::string name() const override { return gpu::version_of(f_, blas_); }
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
  bool fill(const Block& block, std::size_t bytes) const;
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

// Numbers of both signs from 1/2 to 1. Zeros, or what was in memory before, would switch fewer
// transistors than a training does, and run at a higher clock.
bool Gpu::fill(const Block& block, std::size_t bytes) const {
  std::vector<std::uint16_t> values(bytes / sizeof(std::uint16_t));
  std::uint32_t state = 1;
  for (std::uint16_t& value : values) {
    state = 1'664'525 * state + 1'013'904'223;  // Numerical Recipes' generator: its high bits vary
    value = static_cast<std::uint16_t>(0x3f00u | (state >> 25) | (state >> 9 & 0x8000u));
  }
  return f_.cudaMemcpyAsync(block.memory, values.data(), bytes, cudaMemcpyHostToDevice, stream_) ==
             cudaSuccess &&
         f_.cudaStreamSynchronize(stream_) == cudaSuccess;
}

Result<Seconds> Gpu::multiply(int m, int n, int k) {
  constexpr std::size_t width = 2;
  const auto bytes = [](int rows, int columns) {
    return width * static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  };
  const Block a(f_, bytes(m, k)), b(f_, bytes(k, n)), c(f_, bytes(m, n));
  if (a.memory == nullptr || b.memory == nullptr || c.memory == nullptr)
    return no_memory(bytes(m, k) + bytes(k, n) + bytes(m, n));
  if (!fill(a, bytes(m, k)) || !fill(b, bytes(k, n)))
    return failure({}, "the GPU takes no operands", "look at nvidia-smi and dmesg");
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
  const Result<Functions> functions = gpu::load_functions();
  if (!functions) return tl::unexpected(functions.error());
  if (Errors errors = gpu::take_device(*functions, local_rank, 1); !errors.empty())
    return tl::unexpected(std::move(errors));
  auto made = std::make_unique<Gpu>(*functions);
  if (!made->open())
    return failure({}, "--device gpu: cuBLAS does not start", "look at nvidia-smi and its memory");
  return made;
}

}  // namespace railwright::worker
