// Adam (Kingma and Ba, 2015) over the weights that this rank updates: all of them, or with ZeRO-1
// its part of every bucket.
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//   w -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
#pragma once

#include <cstdint>
#include <vector>

#include "worker/train/exchange.hpp"
#include "worker/train/parameters.hpp"

namespace railwright::worker::train {

struct AdamSettings {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  bool operator==(const AdamSettings&) const = default;
};

// Moments of the weights [begin, end) of Parameters::values().
struct Moments {
  std::size_t begin = 0, end = 0;
  std::vector<float> mean, variance;
};

class Optimizer {
 public:
  // `sharded`: ZeRO-1.
  Optimizer(const Parameters& parameters, const Exchange& exchange, bool sharded);
  // Sums the gradients over the data-parallel group, updates, leaves the gradients 0. `step` counts
  // from 1. `in_order`: sums as one rank would add (Exchange::reduce_scatter_in_order).
  void update(Parameters& parameters, Exchange& exchange, const AdamSettings& settings,
              std::int64_t step, bool in_order);
  bool sharded() const { return sharded_; }
  std::vector<Moments>& moments() { return moments_; }  // of each bucket
  const std::vector<Moments>& moments() const { return moments_; }

 private:
  bool sharded_;
  std::vector<Moments> moments_;
};

}  // namespace railwright::worker::train
