#include <cmath>

#include "worker/train/layers.hpp"

namespace railwright::worker::train {
namespace {

// The rows and columns of one head of one sequence.
struct Cut {
  Eigen::Index row = 0, column = 0, kv_column = 0, rows = 0, columns = 0;
};

Cut cut_of(const Heads& heads, std::int64_t sequence, std::int64_t head) {
  const std::int64_t shared_by = heads.heads / heads.kv_heads;
  return {sequence * heads.sequence, head * heads.size, head / shared_by * heads.size,
          heads.sequence, heads.size};
}

template <class Any>
auto block(Any& matrix, const Cut& c) {
  return matrix.block(c.row, c.column, c.rows, c.columns);
}
template <class Any>
auto kv_block(Any& matrix, const Cut& c) {
  return matrix.block(c.row, c.kv_column, c.rows, c.columns);
}

// Row i over its first i + 1 columns; the others become 0.
template <class Scalar>
void causal_softmax(MatrixOf<Scalar>& scores) {
  for (Eigen::Index i = 0; i < scores.rows(); ++i) {
    const Scalar largest = scores.row(i).head(i + 1).maxCoeff();
    Scalar sum = 0;
    for (Eigen::Index j = 0; j <= i; ++j) {
      scores(i, j) = std::exp(scores(i, j) - largest);
      sum += scores(i, j);
    }
    scores.row(i).head(i + 1) /= sum;
    scores.row(i).tail(scores.cols() - i - 1).setZero();
  }
}

template <class Scalar>
Scalar score_scale(const Heads& heads) {
  return 1 / std::sqrt(static_cast<Scalar>(heads.size));
}

}  // namespace

template <class Scalar>
MatrixOf<Scalar> attention(ProductsOf<Scalar>& products, const Heads& heads,
                           const MatrixOf<Scalar>& q, const MatrixOf<Scalar>& k,
                           const MatrixOf<Scalar>& v, AttentionSaved<Scalar>& saved) {
  MatrixOf<Scalar> y(q.rows(), q.cols());
  saved.weights.clear();
  for (std::int64_t sequence = 0; sequence < heads.sequences; ++sequence)
    for (std::int64_t head = 0; head < heads.heads; ++head) {
      const Cut c = cut_of(heads, sequence, head);
      MatrixOf<Scalar> weights =
          product<Scalar>(products, Form::right_transposed, block(q, c), kv_block(k, c));
      weights *= score_scale<Scalar>(heads);
      causal_softmax(weights);
      products.multiply(Form::plain, weights, kv_block(v, c), block(y, c));
      saved.weights.push_back(std::move(weights));
    }
  return y;
}

// With weights P and dP = dy v^T, the scores' gradient is P (dP - sum of P dP along the row).
template <class Scalar>
AttentionGradient<Scalar> attention_backward(ProductsOf<Scalar>& products, const Heads& heads,
                                             const MatrixOf<Scalar>& q, const MatrixOf<Scalar>& k,
                                             const MatrixOf<Scalar>& v,
                                             const AttentionSaved<Scalar>& saved,
                                             const MatrixOf<Scalar>& dy) {
  AttentionGradient<Scalar> gradient;
  gradient.q = MatrixOf<Scalar>(q.rows(), q.cols());
  gradient.k = MatrixOf<Scalar>::Zero(k.rows(), k.cols());
  gradient.v = MatrixOf<Scalar>::Zero(v.rows(), v.cols());
  auto weights = saved.weights.begin();
  for (std::int64_t sequence = 0; sequence < heads.sequences; ++sequence)
    for (std::int64_t head = 0; head < heads.heads; ++head, ++weights) {
      const Cut c = cut_of(heads, sequence, head);
      const auto d = block(dy, c);
      MatrixOf<Scalar> scores =
          product<Scalar>(products, Form::right_transposed, d, kv_block(v, c));
      for (Eigen::Index i = 0; i < scores.rows(); ++i)
        scores.row(i).array() -= scores.row(i).dot(weights->row(i));
      scores.array() *= weights->array() * score_scale<Scalar>(heads);
      kv_block(gradient.v, c) += product<Scalar>(products, Form::left_transposed, *weights, d);
      products.multiply(Form::plain, scores, kv_block(k, c), block(gradient.q, c));
      kv_block(gradient.k, c) +=
          product<Scalar>(products, Form::left_transposed, scores, block(q, c));
    }
  return gradient;
}

template <class Scalar>
void rotate(const Heads& heads, MatrixOf<Scalar>& x, bool backward) {
  const Eigen::Index half = heads.size / 2;
  for (Eigen::Index row = 0; row < x.rows(); ++row) {
    const auto position = static_cast<double>(row % heads.sequence);
    for (Eigen::Index i = 0; i < half; ++i) {
      const double power = -2.0 * static_cast<double>(i) / static_cast<double>(heads.size);
      const double angle = position * std::pow(10000.0, power);
      const auto cosine = static_cast<Scalar>(std::cos(angle));
      const auto sine = static_cast<Scalar>(backward ? -std::sin(angle) : std::sin(angle));
      for (Eigen::Index at = i; at < x.cols(); at += heads.size) {
        const Scalar a = x(row, at), b = x(row, at + half);
        x(row, at) = a * cosine - b * sine;
        x(row, at + half) = b * cosine + a * sine;
      }
    }
  }
}

#define RAILWRIGHT_ATTENTION(S)                                                                  \
  template MatrixOf<S> attention<S>(ProductsOf<S>&, const Heads&, const MatrixOf<S>&,            \
                                    const MatrixOf<S>&, const MatrixOf<S>&, AttentionSaved<S>&); \
  template AttentionGradient<S> attention_backward<S>(                                           \
      ProductsOf<S>&, const Heads&, const MatrixOf<S>&, const MatrixOf<S>&, const MatrixOf<S>&,  \
      const AttentionSaved<S>&, const MatrixOf<S>&);                                             \
  template void rotate<S>(const Heads&, MatrixOf<S>&, bool);
RAILWRIGHT_ATTENTION(float)
RAILWRIGHT_ATTENTION(double)
#undef RAILWRIGHT_ATTENTION

}  // namespace railwright::worker::train
