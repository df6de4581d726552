#include "worker/train/layers.hpp"

#include <cmath>

namespace railwright::worker::train {

template <class Scalar>
void add_weight_gradient(ProductsOf<Scalar>& products, const MatrixOf<Scalar>& x,
                         const MatrixOf<Scalar>& dy, ViewOf<Scalar> dw) {
  // A product that is added in place would add its blocks one by one.
  dw += product<Scalar>(products, Form::left_transposed, x, dy);
}

template <class Scalar>
void add_bias_gradient(const MatrixOf<Scalar>& dy, ViewOf<Scalar> db) {
  const RowOf<Scalar> sum = dy.colwise().sum();
  db += sum;
}

template <class Scalar>
MatrixOf<Scalar> norm(Norm kind, const MatrixOf<Scalar>& x, ConstViewOf<Scalar> gain,
                      ConstViewOf<Scalar> bias, NormSaved<Scalar>& saved) {
  saved.normalised = x;
  if (kind == Norm::layer) saved.normalised.colwise() -= x.rowwise().mean().eval();
  saved.inverse.resize(static_cast<std::size_t>(x.rows()));
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    const Scalar variance = saved.normalised.row(i).squaredNorm() / static_cast<Scalar>(x.cols());
    const Scalar inverse = 1 / std::sqrt(variance + static_cast<Scalar>(norm_epsilon));
    saved.inverse[static_cast<std::size_t>(i)] = inverse;
    saved.normalised.row(i) *= inverse;
  }
  MatrixOf<Scalar> y = saved.normalised.array().rowwise() * gain.row(0).array();
  if (kind == Norm::layer) y.rowwise() += bias.row(0);
  return y;
}

// With n = x^ (normalised) and g = dy gain: dx = inverse (g - mean(g) - n mean(g n)), the first
// mean under LayerNorm alone.
template <class Scalar>
MatrixOf<Scalar> norm_backward(Norm kind, const MatrixOf<Scalar>& dy, ConstViewOf<Scalar> gain,
                               const NormSaved<Scalar>& saved, ViewOf<Scalar> d_gain,
                               ViewOf<Scalar> d_bias) {
  const RowOf<Scalar> gains = (dy.array() * saved.normalised.array()).colwise().sum();
  d_gain += gains;
  if (kind == Norm::layer) add_bias_gradient<Scalar>(dy, d_bias);
  MatrixOf<Scalar> dx = dy.array().rowwise() * gain.row(0).array();
  for (Eigen::Index i = 0; i < dx.rows(); ++i) {
    const Scalar along = dx.row(i).dot(saved.normalised.row(i)) / static_cast<Scalar>(dx.cols());
    const Scalar mean = kind == Norm::layer ? dx.row(i).mean() : Scalar{0};
    dx.row(i).array() -= mean + along * saved.normalised.row(i).array();
    dx.row(i) *= saved.inverse[static_cast<std::size_t>(i)];
  }
  return dx;
}

namespace {

template <class Scalar>
Scalar inner_tanh(Scalar x) {
  return std::tanh(static_cast<Scalar>(0.7978845608028654) *
                   (x + static_cast<Scalar>(0.044715) * x * x * x));
}

template <class Scalar>
Scalar gelu_slope(Scalar x) {
  const Scalar t = inner_tanh(x);
  const Scalar inner =
      static_cast<Scalar>(0.7978845608028654) * (1 + static_cast<Scalar>(3 * 0.044715) * x * x);
  return static_cast<Scalar>(0.5) * (1 + t + x * (1 - t * t) * inner);
}

template <class Scalar>
Scalar sigmoid(Scalar x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace

template <class Scalar>
MatrixOf<Scalar> gelu(const MatrixOf<Scalar>& x) {
  return x.unaryExpr([](Scalar v) { return static_cast<Scalar>(0.5) * v * (1 + inner_tanh(v)); });
}

template <class Scalar>
MatrixOf<Scalar> gelu_backward(const MatrixOf<Scalar>& x, const MatrixOf<Scalar>& dy) {
  return dy.binaryExpr(x, [](Scalar d, Scalar v) { return d * gelu_slope(v); });
}

template <class Scalar>
MatrixOf<Scalar> swiglu(const MatrixOf<Scalar>& gate, const MatrixOf<Scalar>& up) {
  return gate.binaryExpr(up, [](Scalar g, Scalar u) { return g * sigmoid(g) * u; });
}

template <class Scalar>
SwigluGradient<Scalar> swiglu_backward(const MatrixOf<Scalar>& gate, const MatrixOf<Scalar>& up,
                                       const MatrixOf<Scalar>& dy) {
  SwigluGradient<Scalar> gradient;
  const MatrixOf<Scalar> slope = gate.unaryExpr([](Scalar g) {
    const Scalar s = sigmoid(g);
    return s * (1 + g * (1 - s));
  });
  gradient.gate = dy.array() * up.array() * slope.array();
  gradient.up = dy.binaryExpr(gate, [](Scalar d, Scalar g) { return d * g * sigmoid(g); });
  return gradient;
}

template <class Scalar>
std::vector<PartialLoss<Scalar>> partial_losses(const MatrixOf<Scalar>& logits,
                                                std::span<const int> targets, std::int64_t first) {
  std::vector<PartialLoss<Scalar>> parts(targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto row = logits.row(static_cast<Eigen::Index>(i));
    PartialLoss<Scalar>& part = parts[i];
    part.largest = row.maxCoeff();
    for (Eigen::Index j = 0; j < row.size(); ++j) part.sum += std::exp(row(j) - part.largest);
    const std::int64_t local = targets[i] - first;
    if (local >= 0 && local < logits.cols()) part.target = row(local);
  }
  return parts;
}

template <class Scalar>
std::vector<TokenLoss> cross_entropy(std::span<const PartialLoss<Scalar>> parts,
                                     std::size_t tokens) {
  std::vector<TokenLoss> losses(tokens);
  for (std::size_t i = 0; i < tokens; ++i) {
    double largest = parts[i].largest, sum = 0, target = 0;
    for (std::size_t at = i; at < parts.size(); at += tokens)
      largest = std::max(largest, static_cast<double>(parts[at].largest));
    for (std::size_t at = i; at < parts.size(); at += tokens) {
      sum += parts[at].sum * std::exp(parts[at].largest - largest);
      target += parts[at].target;
    }
    losses[i].log_sum = largest + std::log(sum);
    losses[i].loss = losses[i].log_sum - target;
  }
  return losses;
}

template <class Scalar>
MatrixOf<Scalar> cross_entropy_backward(const MatrixOf<Scalar>& logits,
                                        std::span<const int> targets, std::int64_t first,
                                        std::span<const TokenLoss> losses, double scale) {
  MatrixOf<Scalar> gradient(logits.rows(), logits.cols());
  const auto factor = static_cast<Scalar>(scale);
  for (Eigen::Index i = 0; i < logits.rows(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto log_sum = static_cast<Scalar>(losses[at].log_sum);
    for (Eigen::Index j = 0; j < logits.cols(); ++j)
      gradient(i, j) = factor * std::exp(logits(i, j) - log_sum);
    const std::int64_t local = targets[at] - first;
    if (local >= 0 && local < logits.cols()) gradient(i, local) -= factor;
  }
  return gradient;
}

#define RAILWRIGHT_LAYERS(S)                                                                       \
  template void add_weight_gradient<S>(ProductsOf<S>&, const MatrixOf<S>&, const MatrixOf<S>&,     \
                                       ViewOf<S>);                                                 \
  template void add_bias_gradient<S>(const MatrixOf<S>&, ViewOf<S>);                               \
  template MatrixOf<S> norm<S>(Norm, const MatrixOf<S>&, ConstViewOf<S>, ConstViewOf<S>,           \
                               NormSaved<S>&);                                                     \
  template MatrixOf<S> norm_backward<S>(Norm, const MatrixOf<S>&, ConstViewOf<S>,                  \
                                        const NormSaved<S>&, ViewOf<S>, ViewOf<S>);                \
  template MatrixOf<S> gelu<S>(const MatrixOf<S>&);                                                \
  template MatrixOf<S> gelu_backward<S>(const MatrixOf<S>&, const MatrixOf<S>&);                   \
  template MatrixOf<S> swiglu<S>(const MatrixOf<S>&, const MatrixOf<S>&);                          \
  template SwigluGradient<S> swiglu_backward<S>(const MatrixOf<S>&, const MatrixOf<S>&,            \
                                                const MatrixOf<S>&);                               \
  template std::vector<PartialLoss<S>> partial_losses<S>(const MatrixOf<S>&, std::span<const int>, \
                                                         std::int64_t);                            \
  template std::vector<TokenLoss> cross_entropy<S>(std::span<const PartialLoss<S>>, std::size_t);  \
  template MatrixOf<S> cross_entropy_backward<S>(                                                  \
      const MatrixOf<S>&, std::span<const int>, std::int64_t, std::span<const TokenLoss>, double);
RAILWRIGHT_LAYERS(float)
RAILWRIGHT_LAYERS(double)
#undef RAILWRIGHT_LAYERS

}  // namespace railwright::worker::train
