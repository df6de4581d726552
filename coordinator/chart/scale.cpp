#include "coordinator/chart/scale.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace railwright::coordinator {
namespace {

constexpr int most_size_ticks = 10;
constexpr int fewest_rate_steps = 4;

double log2_of(Bytes size) { return std::log2(static_cast<double>(size.count)); }

// The largest of 1, 2, 2.5, 5 x 10^k that goes at least so many times into `value`.
double round_step(double value) {
  const double power = std::pow(10, std::floor(std::log10(value / fewest_rate_steps)));
  double step = power;
  for (const double factor : {2.0, 2.5, 5.0})
    if (factor * power * fewest_rate_steps <= value) step = factor * power;
  return step;
}

}  // namespace

SizeScale::SizeScale(Bytes smallest, Bytes largest, double from, double to)
    : low_(log2_of(smallest)), high_(log2_of(largest)), from_(from), to_(to) {
  assert(smallest.count > 0 && smallest <= largest);
}

double SizeScale::at(Bytes size) const {
  if (high_ == low_) return (from_ + to_) / 2;
  return from_ + (to_ - from_) * (log2_of(size) - low_) / (high_ - low_);
}

std::vector<Bytes> SizeScale::ticks() const {
  const int first = static_cast<int>(std::ceil(low_)), last = static_cast<int>(std::floor(high_));
  const int every = std::max(1, (last - first + most_size_ticks - 1) / (most_size_ticks - 1));
  std::vector<Bytes> ticks;
  for (int power = first; power <= last; power += every)
    ticks.push_back({std::uint64_t{1} << power});
  return ticks;
}

RateScale::RateScale(Bandwidth largest, double from, double to) : from_(from), to_(to) {
  const double top = std::max(largest.bytes_per_second, 1.0);
  step_ = round_step(top);
  steps_ = static_cast<int>(std::ceil(top / step_));
}

double RateScale::at(Bandwidth rate) const {
  return from_ + (to_ - from_) * rate.bytes_per_second / (step_ * steps_);
}

std::vector<Bandwidth> RateScale::ticks() const {
  std::vector<Bandwidth> ticks;
  for (int i = 0; i <= steps_; ++i) ticks.push_back({i * step_});
  return ticks;
}

}  // namespace railwright::coordinator
