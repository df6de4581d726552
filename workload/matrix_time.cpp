#include "workload/matrix_time.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace railwright::workload {

namespace {

struct Tile {
  double rows, columns, share;
};

// The shapes that cuBLAS and CUTLASS choose from on Ampere and Hopper. Shares: fit to the 192
// products of one A100 in openfabric-systems/simllm (Apache-2.0) of which m and n are at least 256.
constexpr std::array<Tile, 6> tiles{{{256, 128, 1},
                                     {128, 256, 1},
                                     {128, 128, 0.96},
                                     {128, 64, 0.80},
                                     {64, 128, 0.80},
                                     {64, 64, 0.52}}};
constexpr double attention_rows = 128;

// What is left of the rate where the rows of an operand do not begin at multiples of 16 bytes: the
// copies to shared memory are of 16, 8 or 4 bytes, and there is none of 2 (NVIDIA, Matrix
// Multiplication Background User's Guide, requirements to use tensor cores; PTX, cp.async). The
// share of odd rows: published steps with a vocabulary of 50,257 columns on A100.
constexpr double share_of_even = 0.8, share_of_odd = 0.33;

}  // namespace

// Of 16-bit elements. Sizes that are a mean, such as the tokens of an expert, say nothing.
double alignment_share(double columns) {
  if (columns != std::floor(columns) || std::fmod(columns, 8) == 0) return 1;
  return std::fmod(columns, 2) == 0 ? share_of_even : share_of_odd;
}

Seconds matrix_time(const MatrixShape& shape, int units, double half_depth, FlopRate rate) {
  if (!(rate.per_second > 0) || !shape.told()) return {};
  const double share = std::min(alignment_share(shape.n), alignment_share(shape.k));
  const double depth = 2 * (shape.k + half_depth) / (share * rate.per_second);
  if (units <= 0) return seconds(shape.batch * shape.m * shape.n * depth);
  double least = std::numeric_limits<double>::infinity();
  for (const Tile& tile : tiles) {
    const double count =
        shape.batch * std::ceil(shape.m / tile.rows) * std::ceil(shape.n / tile.columns);
    const double waves = std::ceil(count / units);
    least = std::min(least, waves * units * tile.rows * tile.columns / tile.share);
  }
  return seconds(least * depth);
}

double attention_waves(const MatrixShape& shape, int units) {
  const double count = shape.batch * std::ceil(shape.m / attention_rows);
  if (units <= 0 || count <= 0) return 1;
  return std::ceil(count / units) * units / count;
}

}  // namespace railwright::workload
