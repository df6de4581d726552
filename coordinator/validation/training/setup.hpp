// From the words of a measured training step to what the planner prices: a cluster, a training and
// its degrees. What the source leaves out has a documented default (docs/validate.md), and the
// setup says which of them it rests on.
#pragma once

#include <string>
#include <vector>

#include "coordinator/validation/training/row.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::coordinator {

struct TrainingSetup {
  topology::ClusterSpec cluster;  // as many nodes as the row has
  workload::Training training;
  std::vector<workload::Degrees> choices;  // more than one: the source does not say which; the best
                                           // that fits is meant
  // Selective recomputation of these frameworks remakes every other layer: the step lies half-way
  // between `choices` without and with full recomputation.
  bool every_other_layer = false;
  // What was measured is the memory of rank 0, which is in the first stage. Nanotron writes no
  // other (logging/base.py, log_memory; its table of benchmarks too).
  bool memory_of_first_stage = false;
  std::string framework;              // subject of calibration, without "framework:"; "" = none
  std::vector<std::string> defaults;  // "rate of the NICs", "micro-batch", ...
  std::string why_not;                // empty: the row can be predicted
};

TrainingSetup setup_of(const TrainingRow& row);

// Equal texts: the same accelerators, nodes and NICs.
std::string system_of(const TrainingRow& row);

}  // namespace railwright::coordinator
