#include "workload/stage/state.hpp"

namespace railwright::workload {

namespace {

// The ranks that share one copy, under the name that says most.
Dimension sharing(const Degrees& degrees) {
  if (degrees.zero_stage >= 1 && degrees.shard_ranks() < degrees.dp * degrees.cp)
    return Dimension::shard;
  return degrees.cp > 1 ? Dimension::dp_cp : Dimension::dp;
}

}  // namespace

StateExchange::StateExchange(const Degrees& degrees, double element_bytes, double summed_bytes,
                             ProgramWriter& writer)
    : degrees_(degrees),
      element_bytes_(element_bytes),
      summed_bytes_(summed_bytes),
      writer_(writer) {
  dense_.share = sharing(degrees);
  dense_.replicated = dense_.share == Dimension::shard;
  expert_.share = Dimension::edp;
  for (Lane* lane : {&dense_, &expert_}) lane->ranks = degree_of(degrees, lane->share);
}

void StateExchange::announce(const Held& parameters) {
  if (degrees_.zero_stage < 3) return;
  auto& gathers = announced_.emplace_back();
  const auto gather = [&](const Lane& lane, double count) {
    if (!lane.shared() || count <= 0) return;
    gathers.push_back(
        writer_.data(lane.share, Operation::all_gather, to_bytes(element_bytes_ * count)));
  };
  gather(dense_, parameters.dense);
  gather(expert_, parameters.expert);
}

void StateExchange::await_weights() {
  if (announced_.empty()) return;
  for (const int gather : announced_.front()) writer_.await(gather);
  announced_.erase(announced_.begin());
}

void StateExchange::gradients_ready(const Held& parameters, bool last_micro_batch) {
  if (degrees_.zero_stage < 2 && !last_micro_batch) return;
  last_micro_batch_ = last_micro_batch;
  dense_.open_bucket += parameters.dense;
  expert_.open_bucket += parameters.expert;
  if (!degrees_.overlap_gradients && degrees_.zero_stage < 3) return;
  for (Lane* lane : {&dense_, &expert_}) {
    const double ranks = lane == &expert_ ? lane->ranks : degrees_.dp * degrees_.cp;
    const bool full = lane->open_bucket >= bucket_parameters(static_cast<int>(ranks));
    if (degrees_.zero_stage == 3 || full) close_bucket(*lane);
  }
}

void StateExchange::close_bucket(Lane& lane) {
  if (lane.open_bucket <= 0) return;
  reduce(lane, lane.open_bucket);
  if (last_micro_batch_) lane.buckets.push_back(lane.open_bucket);
  lane.open_bucket = 0;
}

void StateExchange::close_buckets() {
  close_bucket(dense_);
  close_bucket(expert_);
}

void StateExchange::reduce(Lane& lane, double parameters) {
  const auto add = [&](Dimension group, Operation operation, double count) {
    const int op = writer_.data(group, operation, to_bytes(summed_bytes_ * count));
    if (degrees_.zero_stage == 3 && !degrees_.overlap_gradients) writer_.await(op);
    if (last_micro_batch_) sums_.push_back(op);
  };
  const bool shards = degrees_.zero_stage >= 1;
  if (lane.shared())
    add(lane.share, shards ? Operation::reduce_scatter : Operation::all_reduce, parameters);
  if (lane.replicated && last_micro_batch_)
    add(Dimension::replica, Operation::all_reduce, parameters / lane.ranks);
}

void StateExchange::await_sums() {
  close_buckets();
  for (const int op : sums_) writer_.await(op);
}

void StateExchange::gather_weights() {
  if (degrees_.zero_stage < 1 || degrees_.zero_stage > 2) return;
  for (const Lane* lane : {&dense_, &expert_})
    for (const double bucket : lane->buckets)
      if (lane->shared())
        writer_.data(lane->share, Operation::all_gather, to_bytes(element_bytes_ * bucket));
}

bool StateExchange::sends_shards() const {
  return (degrees_.zero_stage == 1 || degrees_.zero_stage == 2) && dense_.shared();
}

void StateExchange::sum_over_shards(Bytes size) {
  if (degrees_.zero_stage >= 1 && dense_.shared())
    writer_.await(writer_.data(dense_.share, Operation::all_reduce, size));
}

double StateExchange::summed(double dense) const {
  return degrees_.zero_stage >= 2 ? dense / dense_.ranks : dense;
}

double StateExchange::owned(const Held& held) const {
  if (degrees_.zero_stage < 1) return held.total();
  return held.dense / dense_.ranks + held.expert / expert_.ranks;
}

}  // namespace railwright::workload
