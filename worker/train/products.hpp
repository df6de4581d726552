// The matrix products of forward and backward, whoever computes them: Eigen on a core, cuBLAS on a
// GPU. Everything else of a layer runs on the CPU, and matrices live in its memory.
//
// The same operands give the same bits every time. Different implementations add in different
// orders: their results agree within rounding.
#pragma once

#include <memory>
#include <string>

#include "topology/result.hpp"
#include "worker/train/matrix.hpp"

namespace railwright::worker::train {

// Matrices and blocks of them: rows lie apart, a row lies in one piece.
template <class Scalar>
using OperandOf = Eigen::Ref<const MatrixOf<Scalar>, 0, Eigen::OuterStride<>>;
template <class Scalar>
using PlaceOf = Eigen::Ref<MatrixOf<Scalar>, 0, Eigen::OuterStride<>>;

enum class Form : std::uint8_t { plain, left_transposed, right_transposed };  // a b, a^T b, a b^T

template <class Scalar>
class ProductsOf {
 public:
  virtual ~ProductsOf() = default;
  virtual bool on_gpu() const = 0;
  virtual std::string name() const = 0;  // "Eigen", "cuBLAS 13.1.0"
  // c becomes the product and shares no memory with a and b. Throws DeviceFailed.
  virtual void multiply(Form form, const OperandOf<Scalar>& a, const OperandOf<Scalar>& b,
                        PlaceOf<Scalar> c) = 0;
};
using Products = ProductsOf<float>;

template <class Scalar>
MatrixOf<Scalar> product(ProductsOf<Scalar>& products, Form form, const OperandOf<Scalar>& a,
                         const OperandOf<Scalar>& b) {
  MatrixOf<Scalar> c(form == Form::left_transposed ? a.cols() : a.rows(),
                     form == Form::right_transposed ? b.rows() : b.cols());
  products.multiply(form, a, b, c);
  return c;
}

// What a GPU said when it could not go on.
struct DeviceFailed {
  std::string why;
};

// By Eigen, on this thread. There is nothing in it that two users could disturb.
template <class Scalar>
ProductsOf<Scalar>& cpu_products();

// By cuBLAS in float32, without TF32 and with a workspace of its own, so that results repeat bit by
// bit; operands are copied to the GPU and the result back, product by product. Fails, with what to
// do about it, where this build has no CUDA, a library or the driver is missing, or the machine has
// fewer GPUs than the `local_ranks` that train on it.
Result<std::unique_ptr<Products>> make_gpu_products(int local_rank, int local_ranks);

}  // namespace railwright::worker::train
