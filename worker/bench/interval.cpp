#include "worker/bench/interval.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace railwright::worker {

// The true median lies below the k-th smallest sample when fewer than k samples are below it:
// P = sum over i < k of C(n, i) / 2^n, in logarithms, for 2^-n underflows.
int samples_outside(int n) {
  double below = 0;
  for (int k = 0; k < n; ++k) {
    below += std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0) -
                      n * std::log(2.0));
    if (below > 0.025) return k;
  }
  return 0;
}

Median median_of(std::vector<double> samples) {
  assert(!samples.empty());
  std::sort(samples.begin(), samples.end());
  const std::size_t count = samples.size(), middle = count / 2;
  Median median;
  median.value = count % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  const auto outside = static_cast<std::size_t>(samples_outside(static_cast<int>(count)));
  if (outside > 0) median.interval = {samples[outside - 1], samples[count - outside]};
  return median;
}

}  // namespace railwright::worker
