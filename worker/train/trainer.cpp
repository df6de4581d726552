#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <mutex>

#include "worker/train/train.hpp"

namespace railwright::worker::train {
namespace {

constexpr int forward_tag = pipeline_tags, backward_tag = pipeline_tags + 1;
constexpr int tied_tag = pipeline_tags + 2, loss_tag = pipeline_tags + 3;

// Blocks of products as large as these caches want, whatever the machine has: the same sums
// everywhere.
void fix_block_sizes() {
  static std::once_flag once;
  std::call_once(once, [] { Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 4 << 20); });
}

}  // namespace

std::int64_t batch_of(const emulator::Plan& plan, const Settings& settings) {
  return settings.global_batch > 0 ? settings.global_batch : plan.training.global_batch;
}

Trainer::Trainer(const emulator::Plan& plan, const Settings& settings, const Text& text,
                 Exchange& exchange, Products& products)
    : plan_(plan),
      settings_(settings),
      text_(text),
      exchange_(exchange),
      at_(workload::coordinates_of(exchange.rank(), plan.degrees, plan.placement.order)),
      stage_(plan, settings.seed, exchange, products),
      optimizer_(stage_.parameters(), exchange, plan.degrees.zero_stage > 0) {
  settings_.global_batch = batch_of(plan, settings);
  fix_block_sizes();
}

// The micro-batches of a step are dealt out in blocks, in the order of the ranks; some have one
// more than others where they do not divide.
int Trainer::first_micro_batch(int data_index) const {
  const std::int64_t all = settings_.global_batch / plan_.degrees.micro_batch;
  return static_cast<int>(all * data_index / plan_.degrees.dp);
}

int Trainer::rank_at(int stage, int data_index) const {
  workload::Coordinates place = at_;
  place.pp = stage;
  place.dp = data_index;
  return static_cast<int>(workload::rank_of(place, plan_.degrees, plan_.placement.order));
}

MicroBatch Trainer::read(int index) const {
  MicroBatch micro_batch;
  const std::int64_t size = plan_.degrees.micro_batch, sequence = plan_.training.sequence;
  const std::int64_t first = (first_micro_batch(at_.dp) + index) * size;
  for (std::int64_t sample = first; sample < first + size; ++sample) {
    const auto tokens = text_.sample(settings_.seed, steps_, sample, sequence);
    micro_batch.inputs.insert(micro_batch.inputs.end(), tokens.begin(), tokens.end() - 1);
    micro_batch.targets.insert(micro_batch.targets.end(), tokens.begin() + 1, tokens.end());
  }
  return micro_batch;
}

void Trainer::forward(int index) {
  MicroBatch& micro_batch = under_way_[index] = read(index);
  const Shape& shape = stage_.shape();
  Matrix x;
  if (shape.first) {
    x = stage_.embed(micro_batch);
  } else {
    x.resize(shape.rows(), shape.hidden);
    exchange_.receive(rank_at(at_.pp - 1, at_.dp), forward_tag,
                      std::as_writable_bytes(std::span(x.data(), x.size())));
  }
  x = stage_.forward(std::move(x), micro_batch);
  if (shape.last)
    losses_.push_back(stage_.loss(x, micro_batch));
  else
    exchange_.send(rank_at(at_.pp + 1, at_.dp), forward_tag, std::move(x));
}

void Trainer::backward(int index) {
  MicroBatch& micro_batch = under_way_.at(index);
  const Shape& shape = stage_.shape();
  const auto tokens = static_cast<double>(settings_.global_batch * plan_.training.sequence);
  Matrix d;
  if (shape.last) {
    d = stage_.loss_backward(micro_batch, 1 / tokens);
  } else {
    d.resize(shape.rows(), shape.hidden);
    exchange_.receive(rank_at(at_.pp + 1, at_.dp), backward_tag,
                      std::as_writable_bytes(std::span(d.data(), d.size())));
  }
  d = stage_.backward(std::move(d), micro_batch);
  if (shape.first)
    stage_.embed_backward(d, micro_batch);
  else
    exchange_.send(rank_at(at_.pp - 1, at_.dp), backward_tag, std::move(d));
  under_way_.erase(index);
}

// Embedding first, then head, on both.
void Trainer::exchange_tied_gradients() {
  if (stage_.tied_bucket() < 0) return;
  const bool first = stage_.shape().first;
  View mine = stage_.parameters().gradient(stage_.embedding());
  const int peer = rank_at(first ? plan_.degrees.pp - 1 : 0, at_.dp);
  exchange_.send(peer, tied_tag, mine);
  Matrix other(mine.rows(), mine.cols());
  exchange_.receive(peer, tied_tag, std::as_writable_bytes(std::span(other.data(), other.size())));
  if (first)
    mine += other;
  else
    mine = other + mine;
}

// Rank 0 adds the micro-batches up in their order and tells everybody.
double Trainer::joined_loss() {
  const bool speaks = stage_.shape().last && at_.tp == 0;
  if (speaks && exchange_.rank() != 0) {
    std::string bytes(losses_.size() * sizeof(double), '\0');
    std::memcpy(bytes.data(), losses_.data(), bytes.size());
    exchange_.post(0, loss_tag, std::move(bytes));
  }
  double sum = -INFINITY;
  if (exchange_.rank() == 0) {
    sum = 0;
    for (int data_index = 0; data_index < plan_.degrees.dp; ++data_index) {
      const int source = rank_at(plan_.degrees.pp - 1, data_index);
      std::vector<double> values = losses_;
      if (source != 0) {
        const std::string bytes = exchange_.take(source, loss_tag);
        values.resize(bytes.size() / sizeof(double));
        std::memcpy(values.data(), bytes.data(), bytes.size());
      }
      for (const double value : values) sum += value;
    }
    // What is no number is told as an infinite one: the largest of the two would be lost.
    if (!std::isfinite(sum)) sum = INFINITY;
  }
  exchange_.finish_sends();
  exchange_.agree_on_largest(sum);
  return sum / static_cast<double>(settings_.global_batch * plan_.training.sequence);
}

double Trainer::step() {
  losses_.clear();
  const int count = first_micro_batch(at_.dp + 1) - first_micro_batch(at_.dp);
  for (const workload::Pass& pass : workload::pipeline_order(plan_.degrees, count, at_.pp)) {
    if (pass.kind == workload::PassKind::forward)
      forward(pass.micro_batch);
    else
      backward(pass.micro_batch);
  }
  assert(under_way_.empty());
  stage_.sum_partial_gradients();
  exchange_tied_gradients();
  optimizer_.update(stage_.parameters(), exchange_, settings_.adam, steps_ + 1, settings_.in_order);
  ++steps_;
  return joined_loss();
}

}  // namespace railwright::worker::train
