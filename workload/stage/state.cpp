#include "workload/stage/state.hpp"

#include "workload/layer.hpp"

namespace railwright::workload {

namespace {

constexpr double gradient_bytes = 4;  // gradients are summed in fp32

// The ranks that share one copy, under the name that says most.
Dimension sharing(const Degrees& degrees) {
  if (degrees.zero_stage >= 1 && degrees.shard_ranks() < degrees.dp * degrees.cp)
    return Dimension::shard;
  return degrees.cp > 1 ? Dimension::dp_cp : Dimension::dp;
}

}  // namespace

StateExchange::StateExchange(const Degrees& degrees, double element_bytes, ProgramWriter& writer)
    : degrees_(degrees),
      element_bytes_(element_bytes),
      writer_(writer),
      shard_(sharing(degrees)),
      shared_(degree_of(degrees, shard_) > 1),
      replicated_(shard_ == Dimension::shard) {}

void StateExchange::announce(double parameters) {
  if (!gathers_units()) return;
  announced_.push_back(
      writer_.data(shard_, Operation::all_gather, to_bytes(element_bytes_ * parameters)));
}

void StateExchange::await_weights() {
  if (!gathers_units()) return;
  writer_.await(announced_.front());
  announced_.erase(announced_.begin());
}

void StateExchange::gradients_ready(double parameters, bool last_micro_batch) {
  if (!shared_ && !replicated_) return;
  if (degrees_.zero_stage < 2 && !last_micro_batch) return;
  last_micro_batch_ = last_micro_batch;
  open_bucket_ += parameters;
  const double full = bucket_parameters(degrees_.dp * degrees_.cp);
  if (degrees_.zero_stage == 3 || open_bucket_ >= full) close_bucket();
}

void StateExchange::close_bucket() {
  if (open_bucket_ <= 0) return;
  reduce(open_bucket_);
  if (last_micro_batch_) buckets_.push_back(open_bucket_);
  open_bucket_ = 0;
}

void StateExchange::reduce(double parameters) {
  const Bytes size = to_bytes(gradient_bytes * parameters);
  std::vector<int> ops;
  if (degrees_.zero_stage == 0) {
    ops.push_back(writer_.data(shard_, Operation::all_reduce, size));
  } else if (shared_) {
    ops.push_back(writer_.data(shard_, Operation::reduce_scatter, size));
  }
  if (replicated_ && last_micro_batch_)
    ops.push_back(writer_.data(Dimension::replica, Operation::all_reduce,
                               to_bytes(gradient_bytes * parameters / degrees_.shard_ranks())));
  if (last_micro_batch_) sums_.insert(sums_.end(), ops.begin(), ops.end());
}

void StateExchange::await_sums() {
  close_bucket();
  for (const int op : sums_) writer_.await(op);
}

void StateExchange::gather_weights() {
  if (degrees_.zero_stage < 1 || degrees_.zero_stage > 2 || !shared_) return;
  for (const double bucket : buckets_)
    writer_.data(shard_, Operation::all_gather, to_bytes(element_bytes_ * bucket));
}

void StateExchange::sum_over_shards(Bytes size) {
  if (degrees_.zero_stage >= 1 && shared_)
    writer_.await(writer_.data(shard_, Operation::all_reduce, size));
}

double StateExchange::summed(double held) const {
  return degrees_.zero_stage >= 2 ? held / degrees_.shard_ranks() : held;
}

double StateExchange::owned(double held) const {
  return degrees_.zero_stage >= 1 ? held / degrees_.shard_ranks() : held;
}

}  // namespace railwright::workload
