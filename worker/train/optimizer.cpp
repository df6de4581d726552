#include "worker/train/optimizer.hpp"

#include <algorithm>
#include <cmath>

namespace railwright::worker::train {
namespace {

// A share of 0 and of 1 have their own places: what is summed ends up in the own part, or
// everywhere.
void sum_gradients(std::span<float> bucket, Exchange& exchange, bool sharded, bool in_order) {
  if (in_order)
    exchange.reduce_scatter_in_order(Dimension::dp, bucket);
  else if (sharded)
    exchange.reduce_scatter(Dimension::dp, bucket);
  else
    exchange.all_reduce(Dimension::dp, bucket);
  if (in_order && !sharded) exchange.all_gather(Dimension::dp, bucket);
}

void adam(std::span<float> weights, std::span<const float> gradients, Moments& moments,
          const AdamSettings& settings, std::int64_t step) {
  const auto b1 = static_cast<float>(settings.beta1), b2 = static_cast<float>(settings.beta2);
  const auto steps = static_cast<double>(step);
  const auto rate =
      static_cast<float>(settings.learning_rate / (1 - std::pow(settings.beta1, steps)));
  const auto inverse = static_cast<float>(1 / (1 - std::pow(settings.beta2, steps)));
  const auto epsilon = static_cast<float>(settings.epsilon);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const float g = gradients[i];
    float& m = moments.mean[i];
    float& v = moments.variance[i];
    m = b1 * m + (1 - b1) * g;
    v = b2 * v + (1 - b2) * g * g;
    weights[i] -= rate * m / (std::sqrt(v * inverse) + epsilon);
  }
}

}  // namespace

Optimizer::Optimizer(const Parameters& parameters, const Exchange& exchange, bool sharded)
    : sharded_(sharded) {
  const auto ranks = static_cast<std::size_t>(exchange.ranks(Dimension::dp));
  const auto index = static_cast<std::size_t>(exchange.group(Dimension::dp).index);
  for (const Bucket& bucket : parameters.buckets()) {
    const std::size_t part = (bucket.end - bucket.begin) / ranks;
    const std::size_t begin = sharded ? bucket.begin + part * index : bucket.begin;
    const std::size_t end = sharded ? begin + part : bucket.end;
    moments_.push_back(
        {begin, end, std::vector<float>(end - begin), std::vector<float>(end - begin)});
  }
}

void Optimizer::update(Parameters& parameters, Exchange& exchange, const AdamSettings& settings,
                       std::int64_t step, bool in_order) {
  const std::span<float> values = parameters.values(), gradients = parameters.gradients();
  for (std::size_t i = 0; i < moments_.size(); ++i) {
    const Bucket& bucket = parameters.buckets()[i];
    Moments& moments = moments_[i];
    const std::size_t size = bucket.end - bucket.begin, own = moments.end - moments.begin;
    sum_gradients(gradients.subspan(bucket.begin, size), exchange, sharded_, in_order);
    adam(values.subspan(moments.begin, own), gradients.subspan(moments.begin, own), moments,
         settings, step);
    if (sharded_) exchange.all_gather(Dimension::dp, values.subspan(bucket.begin, size));
  }
  std::ranges::fill(gradients, 0.0f);
}

}  // namespace railwright::worker::train
