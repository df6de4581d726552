// How long an accelerator that works in waves of tiles takes for a matrix product.
//
// A kernel cuts the m x n result into tiles of one of a few shapes, hands each compute unit
// (streaming multiprocessor) one tile at a time, and every tile runs through the whole depth k. The
// units finish together, so the last wave costs as much as a full one:
//
//   waves = ceil(batch ceil(m / rows) ceil(n / columns) / units)
//   T     = min over tiles of  waves x units x 2 rows columns (k + half depth) / (share x rate)
//
// and longer where n or k are no multiple of 8, the elements of 16 bytes.
// (NVIDIA, Matrix Multiplication Background User's Guide, tile and wave quantization.) `half depth`
// is the depth at which prologue and epilogue take as long as the products; `share` is what smaller
// tiles reach of the rate of the largest. Both are fitted: docs/calibration.md.
#pragma once

#include "topology/units.hpp"

namespace railwright::workload {

// `batch` products of m x k and k x n. All zero: not told.
struct MatrixShape {
  double m = 0, n = 0, k = 0, batch = 1;
  bool told() const { return m > 0; }
  bool operator==(const MatrixShape&) const = default;
};

// units = 0: not known, no quantization. `rate`: FLOP/s of full waves at great depth. Never less
// than 2 batch m n k / rate, and more of m, batch or whole eights of n and k never takes less.
Seconds matrix_time(const MatrixShape& shape, int units, double half_depth, FlopRate rate);

// Of flash attention, which gives each unit 128 rows of the queries of one head: time / what it
// takes when all units are busy to the end. Shape: m queries, batch = sequences x heads. >= 1.
double attention_waves(const MatrixShape& shape, int units);

}  // namespace railwright::workload
