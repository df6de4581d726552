// Every derivative against central differences, in double.
#include "worker/train/layers.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "worker/train/random.hpp"

namespace railwright::worker::train {
namespace {

using M = MatrixOf<double>;
using V = ViewOf<double>;
using C = ConstViewOf<double>;

M random_matrix(Eigen::Index rows, Eigen::Index columns, std::string_view name) {
  M matrix(rows, columns);
  for (Eigen::Index i = 0; i < matrix.size(); ++i)
    matrix.data()[i] = uniform(key_of(7, name), static_cast<std::uint64_t>(i), 1.5f);
  return matrix;
}

V view(M& matrix) { return {matrix.data(), matrix.rows(), matrix.cols()}; }
C view(const M& matrix) { return {matrix.data(), matrix.rows(), matrix.cols()}; }
// A number that depends on every element of y in its own way: its gradient by y is `weights`.
double mark(const M& y, const M& weights) { return (y.array() * weights.array()).sum(); }

// (f(x + e) - f(x - e)) / 2e for each element of x. Of a smooth f the error is of order e^2.
void check_gradient(M& x, const M& gradient, const std::function<double()>& f) {
  REQUIRE(gradient.rows() == x.rows());
  REQUIRE(gradient.cols() == x.cols());
  constexpr double e = 1e-5;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const double before = x.data()[i];
    x.data()[i] = before + e;
    const double above = f();
    x.data()[i] = before - e;
    const double below = f();
    x.data()[i] = before;
    INFO("element " << i);
    REQUIRE(gradient.data()[i] == Approx((above - below) / (2 * e)).epsilon(1e-6).margin(1e-8));
  }
}

TEST_CASE("the gradients of weight and bias of a linear layer are those of differences") {
  M x = random_matrix(5, 3, "x"), w = random_matrix(3, 4, "w"), b = random_matrix(1, 4, "b");
  const M marks = random_matrix(5, 4, "marks");
  const auto f = [&] {
    M y = x * w;
    y.rowwise() += b.row(0);
    return mark(y, marks);
  };
  M dw = M::Zero(3, 4), db = M::Zero(1, 4);
  add_weight_gradient<double>(cpu_products<double>(), x, marks, view(dw));
  add_bias_gradient<double>(marks, view(db));
  check_gradient(w, dw, f);
  check_gradient(b, db, f);
}

TEST_CASE("weight gradients are added to what is there") {
  const M x = random_matrix(5, 3, "x"), dy = random_matrix(5, 4, "dy");
  M once = M::Zero(3, 4), twice = M::Zero(3, 4);
  add_weight_gradient<double>(cpu_products<double>(), x, dy, view(once));
  for (int i = 0; i < 2; ++i)
    add_weight_gradient<double>(cpu_products<double>(), x, dy, view(twice));
  CHECK(twice == 2 * once);
}

TEST_CASE("the gradients of both norms are those of differences") {
  for (const Norm kind : {Norm::layer, Norm::root_mean_square}) {
    M x = random_matrix(4, 6, "x"), gain = random_matrix(1, 6, "gain");
    M bias = random_matrix(1, 6, "bias");
    const M marks = random_matrix(4, 6, "marks");
    NormSaved<double> saved;
    const auto f = [&] {
      return mark(
          norm<double>(kind, x, view(std::as_const(gain)), view(std::as_const(bias)), saved),
          marks);
    };
    f();
    M d_gain = M::Zero(1, 6), d_bias = M::Zero(1, 6);
    const M dx = norm_backward<double>(kind, marks, view(std::as_const(gain)), saved, view(d_gain),
                                       view(d_bias));
    check_gradient(x, dx, f);
    check_gradient(gain, d_gain, f);
    check_gradient(bias, d_bias, f);
  }
}

TEST_CASE("a LayerNorm without gain has mean 0 and variance 1, an RMSNorm mean square 1") {
  const M x = 100 * random_matrix(4, 64, "x"), gain = M::Ones(1, 64), bias = M::Zero(1, 64);
  NormSaved<double> saved;
  const M layer = norm<double>(Norm::layer, x, view(gain), view(bias), saved);
  const M square = norm<double>(Norm::root_mean_square, x, view(gain), view(bias), saved);
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    CHECK(layer.row(i).mean() == Approx(0).margin(1e-12));
    CHECK(layer.row(i).squaredNorm() / 64 == Approx(1).epsilon(1e-6));
    CHECK(square.row(i).squaredNorm() / 64 == Approx(1).epsilon(1e-6));
  }
}

TEST_CASE("the gradients of GELU and SwiGLU are those of differences") {
  M x = 3 * random_matrix(3, 7, "x"), up = random_matrix(3, 7, "up");
  const M marks = random_matrix(3, 7, "marks");
  check_gradient(x, gelu_backward(x, marks), [&] { return mark(gelu(x), marks); });
  const auto gradient = swiglu_backward(x, up, marks);
  const auto f = [&] { return mark(swiglu(x, up), marks); };
  check_gradient(x, gradient.gate, f);
  check_gradient(up, gradient.up, f);
}

TEST_CASE("the gradients of attention are those of differences, shared key heads included") {
  for (const std::int64_t kv_heads : {4, 2, 1}) {
    const Heads heads{2, 5, 4, kv_heads, 3};
    M q = random_matrix(10, 12, "q"), k = random_matrix(10, 3 * kv_heads, "k");
    M v = random_matrix(10, 3 * kv_heads, "v");
    const M marks = random_matrix(10, 12, "marks");
    AttentionSaved<double> saved;
    const auto f = [&] {
      return mark(attention(cpu_products<double>(), heads, q, k, v, saved), marks);
    };
    f();
    const auto gradient = attention_backward(cpu_products<double>(), heads, q, k, v, saved, marks);
    check_gradient(q, gradient.q, f);
    check_gradient(k, gradient.k, f);
    check_gradient(v, gradient.v, f);
  }
}

TEST_CASE("a token sees those before it in its sequence and no other") {
  const Heads heads{2, 6, 2, 2, 4};
  const M q = random_matrix(12, 8, "q"), k = random_matrix(12, 8, "k");
  M v = random_matrix(12, 8, "v");
  AttentionSaved<double> saved;
  const M before = attention(cpu_products<double>(), heads, q, k, v, saved);
  for (Eigen::Index changed = 0; changed < 12; ++changed) {
    v.row(changed).array() += 1;
    const M after = attention(cpu_products<double>(), heads, q, k, v, saved);
    v.row(changed).array() -= 1;
    for (Eigen::Index row = 0; row < 12; ++row) {
      const bool sees = row / 6 == changed / 6 && row >= changed;
      INFO("token " << row << " after a change of " << changed);
      CHECK(((after.row(row) - before.row(row)).norm() > 1e-9) == sees);
    }
  }
}

TEST_CASE("rotation keeps lengths, is undone by turning back and depends on distances alone") {
  const Heads heads{1, 8, 2, 2, 6};
  const M x = random_matrix(8, 12, "x");
  M turned = x;
  rotate(heads, turned, false);
  for (Eigen::Index i = 0; i < 8; ++i) CHECK(turned.row(i).norm() == Approx(x.row(i).norm()));
  M back = turned;
  rotate(heads, back, true);
  CHECK((back - x).norm() < 1e-12);
  M q = random_matrix(1, 12, "q").replicate(8, 1), k = random_matrix(1, 12, "k").replicate(8, 1);
  rotate(heads, q, false);
  rotate(heads, k, false);
  CHECK(q.row(5).dot(k.row(2)) == Approx(q.row(7).dot(k.row(4))));
  CHECK(q.row(5).dot(k.row(2)) != Approx(q.row(5).dot(k.row(3))));
}

// Two tokens, logits of 0: log of the number of words each.
TEST_CASE("the loss of equal logits is the logarithm of the vocabulary") {
  const M logits = M::Zero(2, 8);
  const std::vector<int> targets = {3, 7};
  const auto parts = partial_losses(logits, targets, 0);
  const auto losses = cross_entropy<double>(parts, 2);
  for (const TokenLoss& loss : losses) CHECK(loss.loss == Approx(std::log(8.0)));
}

TEST_CASE("the gradient of the loss is that of differences, whole and split over ranks") {
  M logits = 4 * random_matrix(3, 10, "logits");
  const std::vector<int> targets = {0, 9, 4};
  const auto whole = [&] {
    double sum = 0;
    for (const TokenLoss& loss : cross_entropy<double>(partial_losses(logits, targets, 0), 3))
      sum += loss.loss;
    return 0.25 * sum;
  };
  const auto losses = cross_entropy<double>(partial_losses(logits, targets, 0), 3);
  const M gradient = cross_entropy_backward(logits, targets, 0, losses, 0.25);
  check_gradient(logits, gradient, whole);
  for (const Eigen::Index cut : {1, 4, 9}) {
    const M left = logits.leftCols(cut), right = logits.rightCols(10 - cut);
    auto parts = partial_losses(left, targets, 0);
    const auto others = partial_losses(right, targets, cut);
    parts.insert(parts.end(), others.begin(), others.end());
    const auto joined = cross_entropy<double>(parts, 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(joined[i].loss == Approx(losses[i].loss));
    const M part = cross_entropy_backward(right, targets, cut, joined, 0.25);
    CHECK((part - gradient.rightCols(10 - cut)).norm() < 1e-12);
  }
}

TEST_CASE("draws depend on seed, name and index, and spread evenly") {
  CHECK(draw(key_of(1, "a"), 0) == draw(key_of(1, "a"), 0));
  CHECK(draw(key_of(1, "a"), 0) != draw(key_of(1, "b"), 0));
  CHECK(draw(key_of(1, "a"), 0) != draw(key_of(2, "a"), 0));
  CHECK(draw(key_of(1, "a"), 0) != draw(key_of(1, "a"), 1));
  // Of n uniform draws in [-1, 1): mean 0 +- 1 / sqrt(3 n), variance 1/3. Five deviations.
  constexpr int n = 100'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = uniform(key_of(3, "w"), static_cast<std::uint64_t>(i), 1);
    REQUIRE(x >= -1);
    REQUIRE(x < 1);
    sum += x;
    squares += x * x;
  }
  CHECK(std::abs(sum / n) < 5 / std::sqrt(3.0 * n));
  CHECK(squares / n == Approx(1.0 / 3).margin(5 * 0.3 / std::sqrt(n)));
}

}  // namespace
}  // namespace railwright::worker::train
