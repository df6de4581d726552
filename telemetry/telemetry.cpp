#include "telemetry/telemetry.hpp"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>

#include "telemetry/families.hpp"

namespace railwright::telemetry {

Histogram Histogram::around(Seconds expected) {
  constexpr int buckets = 12;
  Histogram histogram;
  const double center = expected.value > 0 ? expected.value : 1e-3;
  // Two thirds of the grid lie above: what goes wrong is slower than expected.
  for (int i = 0; i < buckets; ++i) histogram.bounds.push_back(std::ldexp(center, i - 3));
  histogram.counts.assign(histogram.bounds.size() + 1, 0);
  return histogram;
}

void Histogram::observe(Seconds value, std::int64_t times) {
  if (!std::isfinite(value.value)) return;
  counts.resize(bounds.size() + 1);
  const auto place = std::lower_bound(bounds.begin(), bounds.end(), value.value);
  counts[place - bounds.begin()] += static_cast<std::uint64_t>(times);
  sum += static_cast<double>(times) * value.value;
}

std::string render(const Snapshot& snapshot) {
  return prometheus::TextSerializer().Serialize(families_of(snapshot));
}

}  // namespace railwright::telemetry
