#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "worker/compute/cublas.hpp"
#include "worker/train/products.hpp"

namespace railwright::worker::train {
namespace {

using gpu::Functions;
constexpr std::size_t workspace_bytes = 32 << 20;  // what cuBLAS recommends for Hopper

// Memory of the GPU that grows to the largest matrix it has held.
class Room {
 public:
  explicit Room(const Functions& functions) : f_(functions) {}
  ~Room() {
    if (memory_ != nullptr) f_.cudaFree(memory_);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  float* reserve(std::size_t bytes) {
    if (bytes <= capacity_) return get();
    if (memory_ != nullptr) f_.cudaFree(memory_);
    memory_ = nullptr;
    capacity_ = 0;
    if (f_.cudaMalloc(&memory_, bytes) != cudaSuccess)
      throw DeviceFailed{fmt::format("the GPU has no {} bytes left", bytes)};
    capacity_ = bytes;
    return get();
  }
  float* get() const { return static_cast<float*>(memory_); }

 private:
  const Functions& f_;
  void* memory_ = nullptr;
  std::size_t capacity_ = 0;
};

class CublasProducts : public Products {
 public:
  explicit CublasProducts(const Functions& functions)
      : f_(functions), workspace_(f_), rooms_{Room(f_), Room(f_), Room(f_)} {}
  ~CublasProducts() override {
    if (blas_ != nullptr) f_.cublasDestroy_v2(blas_);
    if (stream_ != nullptr) f_.cudaStreamDestroy(stream_);
  }
  CublasProducts(const CublasProducts&) = delete;
  CublasProducts& operator=(const CublasProducts&) = delete;

  bool open();
  bool on_gpu() const override { return true; }
  std::string name() const override { return gpu::version_of(f_, blas_); }
  void multiply(Form form, const OperandOf<float>& a, const OperandOf<float>& b,
                PlaceOf<float> c) override;

 private:
  void require(cudaError_t state) const {
    if (state != cudaSuccess)
      throw DeviceFailed{std::string("the GPU fails: ") + f_.cudaGetErrorString(state)};
  }
  float* stage(Room& room, const OperandOf<float>& matrix) const;

  Functions f_;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  Room workspace_;
  std::array<Room, 3> rooms_;
};

// A stream takes cuBLAS's own workspace with it, so ours comes after it. Pedantic: neither TF32 nor
// sums that stand in for float32, whatever the environment asks for.
bool CublasProducts::open() {
  return f_.cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking) == cudaSuccess &&
         f_.cublasCreate_v2(&blas_) == CUBLAS_STATUS_SUCCESS &&
         f_.cublasSetStream_v2(blas_, stream_) == CUBLAS_STATUS_SUCCESS &&
         f_.cublasSetWorkspace_v2(blas_, workspace_.reserve(workspace_bytes), workspace_bytes) ==
             CUBLAS_STATUS_SUCCESS &&
         f_.cublasSetMathMode(blas_, CUBLAS_PEDANTIC_MATH) == CUBLAS_STATUS_SUCCESS;
}

std::size_t row_bytes(Eigen::Index columns) {
  return static_cast<std::size_t>(columns) * sizeof(float);
}

// Rows lie one behind the other there.
float* CublasProducts::stage(Room& room, const OperandOf<float>& matrix) const {
  const std::size_t width = row_bytes(matrix.cols());
  const auto rows = static_cast<std::size_t>(matrix.rows());
  float* there = room.reserve(width * rows);
  require(f_.cudaMemcpy2DAsync(there, width, matrix.data(), row_bytes(matrix.outerStride()), width,
                               rows, cudaMemcpyHostToDevice, stream_));
  return there;
}

// cuBLAS reads columns, we write rows: it sees every matrix transposed, and c^T = b^T a^T.
void CublasProducts::multiply(Form form, const OperandOf<float>& a, const OperandOf<float>& b,
                              PlaceOf<float> c) {
  if (c.size() == 0) return;
  const auto size = [](Eigen::Index count) { return static_cast<int>(count); };
  const int depth = size(form == Form::left_transposed ? a.rows() : a.cols());
  const auto turned = [](bool is) { return is ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const float* left = stage(rooms_[0], a);
  const float* right = stage(rooms_[1], b);
  float* result = rooms_[2].reserve(row_bytes(c.cols()) * static_cast<std::size_t>(c.rows()));
  const float one = 1, zero = 0;
  const cublasStatus_t status = f_.cublasGemmEx(
      blas_, turned(form == Form::right_transposed), turned(form == Form::left_transposed),
      size(c.cols()), size(c.rows()), depth, &one, right, CUDA_R_32F, size(b.cols()), left,
      CUDA_R_32F, size(a.cols()), &zero, result, CUDA_R_32F, size(c.cols()), CUBLAS_COMPUTE_32F,
      CUBLAS_GEMM_DEFAULT);
  if (status != CUBLAS_STATUS_SUCCESS)
    throw DeviceFailed{fmt::format("cuBLAS refuses a product of {} x {} x {}: status {}", c.rows(),
                                   c.cols(), depth, static_cast<int>(status))};
  require(f_.cudaMemcpy2DAsync(c.data(), row_bytes(c.outerStride()), result, row_bytes(c.cols()),
                               row_bytes(c.cols()), static_cast<std::size_t>(c.rows()),
                               cudaMemcpyDeviceToHost, stream_));
  require(f_.cudaStreamSynchronize(stream_));
}

}  // namespace

Result<std::unique_ptr<Products>> make_gpu_products(int local_rank, int local_ranks) {
  const Result<Functions> functions = gpu::load_functions();
  if (!functions) return tl::unexpected(functions.error());
  if (Errors errors = gpu::take_device(*functions, local_rank, local_ranks); !errors.empty())
    return tl::unexpected(std::move(errors));
  auto products = std::make_unique<CublasProducts>(*functions);
  std::string why = "cuBLAS does not start";
  try {
    if (products->open()) return products;
  } catch (const DeviceFailed& failed) {
    why = failed.why;
  }
  return failure({}, "--device gpu: " + why, "look at nvidia-smi and its memory");
}

}  // namespace railwright::worker::train
