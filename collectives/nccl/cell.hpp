// The two halves of a cell of NCCL's tuning table. docs/nccl.md has the formulas.
#pragma once

#include "collectives/nccl.hpp"

namespace railwright::collectives::nccl {

// A cell to be priced; everything it needs is there and enabled.
struct Cell {
  const Constants& constants;
  const Platform& platform;
  const Generation& generation;
  const Host& host;
  const Graph& graph;
  Job job;
  Algorithm algorithm;
  Protocol protocol;

  int per_node() const { return job.ranks / job.nodes; }
  // 0: one node, 1: two, 2: more.
  std::size_t scale() const { return static_cast<std::size_t>(job.nodes > 2 ? 2 : job.nodes - 1); }
};

// Steps of a ring that does the operation.
int ring_steps(Operation operation, int ranks);
float latency_of(const Cell& cell);  // us
// GB/s of the whole vector; 0: cannot carry anything.
float bandwidth_of(const Cell& cell);

}  // namespace railwright::collectives::nccl
