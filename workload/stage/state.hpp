// Weights and gradients on their way between data-parallel ranks: what ZeRO gathers and reduces.
//
//   stage 0  gradients all-reduced once per step, in buckets that overlap the last backward
//            (one bucket after it, without overlap_gradients)
//   stage 1  reduce-scattered then, weights gathered after the optimizer
//   stage 2  reduce-scattered in every micro-batch: nobody holds the sum of all of them
//   stage 3  the weights of a unit (a layer, the embedding, the head) gathered before its forward
//            and again before its backward, one unit ahead of the compute; its gradients
//            reduce-scattered after its backward: FSDP with reshard_after_forward. Without
//            overlap_gradients gathered when it is needed, and compute waits for the sum
//
// Where fewer ranks share a copy than are data-parallel (HSDP), the shards of the gradients are
// all-reduced between the copies, once per step.
#pragma once

#include <vector>

#include "workload/layer.hpp"
#include "workload/program_writer.hpp"

namespace railwright::workload {

// Experts have data-parallel ranks of their own, and so a lane of their own.
class StateExchange {
 public:
  // Bytes of a weight and of a gradient on the links.
  StateExchange(const Degrees& degrees, double element_bytes, double summed_bytes,
                ProgramWriter& writer);

  // Before a unit of these parameters computes. Under ZeRO-3 its weights are on their way since
  // `announce`, which is called for every such unit in order, at the latest one unit before, or
  // where it computes when nothing overlaps.
  bool announces_ahead() const { return degrees_.zero_stage < 3 || degrees_.overlap_gradients; }
  void announce(const Held& parameters);
  void await_weights();
  // A unit's gradients are complete for this micro-batch.
  void gradients_ready(const Held& parameters, bool last_micro_batch);
  void close_buckets();              // sends off what is in them
  void await_sums();                 // what follows waits for all gradients
  void gather_weights();             // after the optimizer, what no unit gathers for itself
  bool sends_shards() const;         // ... and frameworks may send one shard after the other
  void sum_over_shards(Bytes size);  // of what each rank knows of its shard alone

  double owned(const Held& held) const;  // parameters whose optimizer state a rank holds
  double summed(double dense) const;     // dense parameters whose gradients it holds at the end

 private:
  // Ranks that hold the same parameters: those that share a copy, and the copies.
  struct Lane {
    Dimension share = Dimension::dp;
    double ranks = 1;  // that share
    bool replicated = false;
    double open_bucket = 0;       // parameters whose gradients wait for their bucket to fill
    std::vector<double> buckets;  // of the last micro-batch: parameters
    bool shared() const { return ranks > 1; }
  };

  void reduce(Lane& lane, double parameters);
  void close_bucket(Lane& lane);

  const Degrees& degrees_;
  const double element_bytes_, summed_bytes_;
  ProgramWriter& writer_;
  Lane dense_, expert_;
  bool last_micro_batch_ = false;
  std::vector<int> sums_;                    // ops of the last micro-batch
  std::vector<std::vector<int>> announced_;  // gathers of units to come, the next one first
};

}  // namespace railwright::workload
