#include "topology/calibration_range.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "topology/quantity.hpp"

namespace railwright::topology {
namespace {

// Problems of matrix products and attention are counted in FLOPs, everything else in bytes.
bool counts_flops(const CalibrationEntry& entry) {
  return entry.parameter.starts_with("gemm_") || entry.parameter.starts_with("attention_");
}

std::string text_of(const CalibrationEntry& entry, double size) {
  if (counts_flops(entry)) return fmt::format("{:.3g} FLOP", size);
  return to_string(Bytes{static_cast<std::uint64_t>(std::min(size, 1e18))});
}

std::string range_text(const CalibrationEntry& entry, double low, double high) {
  if (low == high) return "at " + text_of(entry, low);
  return fmt::format("from {} to {}", text_of(entry, low), text_of(entry, high));
}

}  // namespace

void UsedRanges::add(std::string_view subject, std::string_view parameter, double size) {
  const CalibrationEntry* entry = calibration_.find(subject, parameter);
  if (entry == nullptr || entry->valid_high == 0) return;
  if (size >= entry->valid_low && size <= entry->valid_high) return;
  const auto [place, fresh] = outside_.try_emplace(entry, Range{size, size});
  if (fresh) return;
  place->second.low = std::min(place->second.low, size);
  place->second.high = std::max(place->second.high, size);
}

std::vector<std::string> UsedRanges::notes() const {
  std::vector<std::string> notes;
  for (const auto& [entry, used] : outside_)
    notes.push_back(fmt::format("{} of '{}' was measured {} and is used {}", entry->parameter,
                                entry->subject,
                                range_text(*entry, entry->valid_low, entry->valid_high),
                                range_text(*entry, used.low, used.high)));
  return notes;
}

}  // namespace railwright::topology
