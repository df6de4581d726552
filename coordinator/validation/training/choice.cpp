#include "coordinator/validation/training/choice.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace railwright::coordinator {

double regret_of(std::span<const MeasuredAndPredicted> layouts) {
  if (layouts.empty()) return 0;
  const auto chosen = std::ranges::min_element(layouts, {}, &MeasuredAndPredicted::predicted);
  const auto best = std::ranges::min_element(layouts, {}, &MeasuredAndPredicted::measured);
  return chosen->measured.value / best->measured.value - 1;
}

// tau-b = (concordant - discordant) / sqrt((pairs - tied in x) (pairs - tied in y)); pairs that are
// tied in what was measured are left out, so only ties of the prediction stay under the root.
double kendall_tau(std::span<const MeasuredAndPredicted> layouts, double least) {
  std::int64_t pairs = 0, order = 0, tied = 0;
  for (std::size_t i = 0; i < layouts.size(); ++i)
    for (std::size_t j = i + 1; j < layouts.size(); ++j) {
      const double a = layouts[i].measured.value, b = layouts[j].measured.value;
      if (std::abs(a - b) <= least * std::min(a, b)) continue;
      ++pairs;
      const auto predicted = layouts[i].predicted <=> layouts[j].predicted;
      if (predicted == 0) {
        ++tied;
      } else {
        order += (predicted < 0) == (a < b) ? 1 : -1;
      }
    }
  if (pairs == tied) return 0;
  return static_cast<double>(order) /
         std::sqrt(static_cast<double>(pairs) * static_cast<double>(pairs - tied));
}

}  // namespace railwright::coordinator
