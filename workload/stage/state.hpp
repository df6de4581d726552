// Weights and gradients on their way between data-parallel ranks: what ZeRO gathers and reduces.
//
//   stage 0  gradients all-reduced once per step, in buckets that overlap the last backward
//   stage 1  reduce-scattered then, weights gathered after the optimizer
//   stage 2  reduce-scattered in every micro-batch: nobody holds the sum of all of them
//   stage 3  the weights of a unit (a layer, the embedding, the head) gathered before its forward
//            and again before its backward, one unit ahead of the compute; its gradients
//            reduce-scattered after its backward: FSDP with reshard_after_forward
//
// Where fewer ranks share a copy than are data-parallel (HSDP), the shards of the gradients are
// all-reduced between the copies, once per step.
#pragma once

#include <vector>

#include "workload/program_writer.hpp"

namespace railwright::workload {

class StateExchange {
 public:
  StateExchange(const Degrees& degrees, double element_bytes, ProgramWriter& writer);

  // Before a unit of so many parameters computes. Under ZeRO-3 its weights are on their way since
  // `announce`, which is called for every such unit in order, at the latest one unit before.
  void announce(double parameters);
  void await_weights();
  // A unit's gradients are complete for this micro-batch.
  void gradients_ready(double parameters, bool last_micro_batch);
  void close_bucket();    // sends off what is in it
  void await_sums();      // what follows waits for all gradients
  void gather_weights();  // after the optimizer, what no unit gathers for itself

  void sum_over_shards(Bytes size);  // of what each rank knows of its shard alone

  double owned(double held) const;   // parameters whose optimizer state a rank holds
  double summed(double held) const;  // parameters whose gradients a rank holds at the end
  bool gathers_units() const { return degrees_.zero_stage == 3 && shared_; }

 private:
  void reduce(double parameters);

  const Degrees& degrees_;
  const double element_bytes_;
  ProgramWriter& writer_;
  const Dimension shard_;   // ranks that share a copy
  const bool shared_;       // there is more than one of them
  const bool replicated_;   // there is more than one copy
  double open_bucket_ = 0;  // parameters whose gradients wait for their bucket to fill
  bool last_micro_batch_ = false;
  std::vector<double> buckets_;  // of the last micro-batch: parameters
  std::vector<int> sums_;        // ops of the last micro-batch
  std::vector<int> announced_;   // gathers that no unit has waited for, oldest first
};

}  // namespace railwright::workload
