// The axes of a chart: where a value lies, and which values are written beside it.
#pragma once

#include <vector>

#include "topology/units.hpp"

namespace railwright::coordinator {

// Sizes on `from` .. `to` pixels by their logarithm; one size alone lies in the middle.
class SizeScale {
 public:
  SizeScale(Bytes smallest, Bytes largest, double from, double to);
  double at(Bytes size) const;
  std::vector<Bytes> ticks() const;  // powers of two, at most ten

 private:
  double low_, high_;  // log2
  double from_, to_;
};

// Rates from zero at `from` pixels up to a round number at `to`.
class RateScale {
 public:
  RateScale(Bandwidth largest, double from, double to);
  double at(Bandwidth rate) const;
  std::vector<Bandwidth> ticks() const;  // 0 and four to eight more, the last one the top

 private:
  double step_;  // bytes per second
  int steps_;
  double from_, to_;
};

}  // namespace railwright::coordinator
