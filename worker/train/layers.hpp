// The layers of a decoder, each as a pure function with its derivative.
//
// float is what trains; double is for the tests, which compare every derivative with finite
// differences. A gradient of a weight is added to what is there, in one addition per element, so
// that micro-batches add up in the order in which they come and in no other. exp, tanh and the like
// are those of the C library, element by element: equal inputs give equal outputs wherever they
// stand.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/train/products.hpp"

namespace railwright::worker::train {

// ---- y = x W: x [tokens, in], W [in, out]

// W += x^T dy.
template <class Scalar>
void add_weight_gradient(ProductsOf<Scalar>& products, const MatrixOf<Scalar>& x,
                         const MatrixOf<Scalar>& dy, ViewOf<Scalar> dw);
// b += sum of dy over the tokens.
template <class Scalar>
void add_bias_gradient(const MatrixOf<Scalar>& dy, ViewOf<Scalar> db);

// ---- norms: LayerNorm (x - mean) / sqrt(variance + e) g + b, RMSNorm x / sqrt(mean of x^2 + e) g

enum class Norm : std::uint8_t { layer, root_mean_square };
inline constexpr double norm_epsilon = 1e-5;

template <class Scalar>
struct NormSaved {
  MatrixOf<Scalar> normalised;  // before gain and bias
  std::vector<Scalar> inverse;  // 1 / sqrt(..) of each row
};
// gain [1, h]; bias [1, h], not read under RMSNorm.
template <class Scalar>
MatrixOf<Scalar> norm(Norm kind, const MatrixOf<Scalar>& x, ConstViewOf<Scalar> gain,
                      ConstViewOf<Scalar> bias, NormSaved<Scalar>& saved);
// Gradient of x; d_gain and d_bias are added to.
template <class Scalar>
MatrixOf<Scalar> norm_backward(Norm kind, const MatrixOf<Scalar>& dy, ConstViewOf<Scalar> gain,
                               const NormSaved<Scalar>& saved, ViewOf<Scalar> d_gain,
                               ViewOf<Scalar> d_bias);

// ---- activations

// GELU in the tanh form of GPT-2.
template <class Scalar>
MatrixOf<Scalar> gelu(const MatrixOf<Scalar>& x);
template <class Scalar>
MatrixOf<Scalar> gelu_backward(const MatrixOf<Scalar>& x, const MatrixOf<Scalar>& dy);
// SwiGLU: gate / (1 + exp(-gate)) * up.
template <class Scalar>
MatrixOf<Scalar> swiglu(const MatrixOf<Scalar>& gate, const MatrixOf<Scalar>& up);
template <class Scalar>
struct SwigluGradient {
  MatrixOf<Scalar> gate, up;
};
template <class Scalar>
SwigluGradient<Scalar> swiglu_backward(const MatrixOf<Scalar>& gate, const MatrixOf<Scalar>& up,
                                       const MatrixOf<Scalar>& dy);

// ---- attention: softmax(q k^T / sqrt(d), causal) v, head by head

struct Heads {
  std::int64_t sequences = 1, sequence = 1;  // rows are sequences x sequence, a sequence in one go
  std::int64_t heads = 1, kv_heads = 1;      // consecutive heads share a key and value head
  std::int64_t size = 1;                     // of one
};
template <class Scalar>
struct AttentionSaved {
  std::vector<MatrixOf<Scalar>> weights;  // of each sequence and head
};
// q [tokens, heads x size], k and v [tokens, kv_heads x size].
template <class Scalar>
MatrixOf<Scalar> attention(ProductsOf<Scalar>& products, const Heads& heads,
                           const MatrixOf<Scalar>& q, const MatrixOf<Scalar>& k,
                           const MatrixOf<Scalar>& v, AttentionSaved<Scalar>& saved);
template <class Scalar>
struct AttentionGradient {
  MatrixOf<Scalar> q, k, v;
};
template <class Scalar>
AttentionGradient<Scalar> attention_backward(ProductsOf<Scalar>& products, const Heads& heads,
                                             const MatrixOf<Scalar>& q, const MatrixOf<Scalar>& k,
                                             const MatrixOf<Scalar>& v,
                                             const AttentionSaved<Scalar>& saved,
                                             const MatrixOf<Scalar>& dy);

// Rotary positions, base 10,000, the two halves of a head as in Llama: turns x in place, `backward`
// back. Its derivative is the turn back.
template <class Scalar>
void rotate(const Heads& heads, MatrixOf<Scalar>& x, bool backward);

// ---- loss: cross entropy over a vocabulary of which this rank has the part from `first` on

template <class Scalar>
struct PartialLoss {
  Scalar largest = 0, sum = 0;  // of the logits here; sum of exp(logit - largest)
  Scalar target = 0;            // the logit of the right token; 0 where another rank has it
};
// One per token. Parts of several ranks are joined by cross_entropy.
template <class Scalar>
std::vector<PartialLoss<Scalar>> partial_losses(const MatrixOf<Scalar>& logits,
                                                std::span<const int> targets, std::int64_t first);
struct TokenLoss {
  double loss = 0, log_sum = 0;  // -log p(target), log sum exp
};
// `parts` of each rank in turn, tokens of a rank side by side.
template <class Scalar>
std::vector<TokenLoss> cross_entropy(std::span<const PartialLoss<Scalar>> parts,
                                     std::size_t tokens);
// Gradient of scale x (sum of the losses): scale (softmax - one at the target).
template <class Scalar>
MatrixOf<Scalar> cross_entropy_backward(const MatrixOf<Scalar>& logits,
                                        std::span<const int> targets, std::int64_t first,
                                        std::span<const TokenLoss> losses, double scale);

}  // namespace railwright::worker::train
