#include "workload/matrix_time.hpp"

#include <random>

#include "samples.hpp"
#include "workload/roofline.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

constexpr int units = 108;

double time_of(const MatrixShape& shape, int with = units, double half_depth = 128) {
  return matrix_time(shape, with, half_depth, teraflops(300)).value;
}

MatrixShape random_shape(std::mt19937_64& random) {
  const auto side = [&] { return static_cast<double>(8 * (1 + random() % 2'500)); };
  return {side(), side(), side(), static_cast<double>(1 + random() % 64)};
}

}  // namespace

// A100, GPT-3's QKV product of 2,048 tokens with tp 8: 2048 x 4608 in tiles of 256 x 128 is 8 x 36
// = 288 tiles = 2.67 waves of 108, so 3 waves, 88.9 % of the rate; tp 16: 144 tiles, 2 waves, 66.7
// % (NVIDIA, Matrix Multiplication Background User's Guide). Smaller tiles do better there: 288 of
// 128 x 128 at 0.96 of the rate are 3 waves too: 0.889 x 0.96.
TEST_CASE("a product waits for its last wave of tiles") {
  const auto utilisation = [](double m, double n) {
    return 2 * m * n * 1024 / 300e12 / time_of({m, n, 1024}, units, 0);
  };
  CHECK(utilisation(2048, 4608) == Approx(288.0 / 324).epsilon(1e-12));
  CHECK(utilisation(2048, 2304) == Approx(288.0 / 324 * 0.96).epsilon(1e-12));
  CHECK(utilisation(256 * 108, 128) == Approx(1).epsilon(1e-12));
}

TEST_CASE("the half depth is where prologue and epilogue take half of the time") {
  const MatrixShape shape{2560, 128 * 54, 128};
  CHECK(time_of(shape, units, 128) == Approx(2 * time_of(shape, units, 0)).epsilon(1e-12));
}

TEST_CASE("more of a product never takes less time, and none beats the rate") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    const MatrixShape shape = random_shape(random);
    const double time = time_of(shape);
    CHECK(time >= 2 * shape.batch * shape.m * shape.n * shape.k / 300e12 * (1 - 1e-12));
    CHECK(time >= time_of(shape, 0) * (1 - 1e-12));  // units unknown: no quantization
    for (double MatrixShape::*side :
         {&MatrixShape::m, &MatrixShape::n, &MatrixShape::k, &MatrixShape::batch}) {
      MatrixShape more = shape;
      const bool of_rows = side == &MatrixShape::n || side == &MatrixShape::k;
      more.*side += static_cast<double>((of_rows ? 8 : 1) * (1 + random() % 60));
      CHECK(time_of(more) >= time * (1 - 1e-12));
    }
    MatrixShape turned = shape;  // sides are multiples of 8
    std::swap(turned.m, turned.n);
    CHECK(time_of(turned) == Approx(time).epsilon(1e-12));
  }
}

// GPT-2's vocabulary of 50,257 is known to be slow for this: frameworks pad it to 50,304.
TEST_CASE("operands whose rows do not begin at 16 bytes are slow, most of all odd ones") {
  const double aligned = time_of({1024, 50'304, 1024});
  CHECK(time_of({1024, 50'257, 1024}) > 2.5 * aligned);
  CHECK(time_of({1024, 1024, 50'257}) > 2.5 * time_of({1024, 1024, 50'304}));
  CHECK(time_of({1024, 50'260, 1024}) > 1.1 * aligned);
  CHECK(time_of({1024, 50'260, 1024}) < 1.5 * aligned);
  CHECK(time_of({1025, 50'304, 1024}) == time_of({1026, 50'304, 1024}));  // rows may be odd
  CHECK(time_of({1024, 50'304, 1024.5}) < 1.01 * time_of({1024, 50'304, 1025 + 7}));  // a mean
}

TEST_CASE("flash attention gives out blocks of 128 queries of a head") {
  CHECK(attention_waves({2048, 2048, 128, 27}, units) == 1);  // 16 x 27 = 432 = 4 x 108
  CHECK(attention_waves({2048, 2048, 128, 8}, units) == Approx(216.0 / 128));
  CHECK(attention_waves({2048, 2048, 128, 8}, 0) == 1);
}
