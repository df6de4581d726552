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

}  // namespace

Seconds matrix_time(const MatrixShape& shape, int units, double half_depth, FlopRate rate) {
  if (!(rate.per_second > 0) || !shape.told()) return {};
  const double depth = 2 * (shape.k + half_depth) / rate.per_second;
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
