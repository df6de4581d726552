// The median of noisy samples and how sure it is.
#pragma once

#include <optional>
#include <vector>

namespace railwright::worker {

struct Median {
  double value = 0;
  // 95 % interval from order statistics: nothing is assumed about the distribution. Absent for
  // fewer than six samples, which cannot give one.
  struct Interval {
    double low = 0, high = 0;
  };
  std::optional<Interval> interval;
};

// Of at least one sample.
Median median_of(std::vector<double> samples);

// How many samples at either end lie outside of the interval: the largest k with
// P(fewer than k of n fair coins show heads) <= 2.5 %. 0: there is none.
int samples_outside(int n);

}  // namespace railwright::worker
