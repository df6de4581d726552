#include "emulator/blame.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::emulator {

void BlameBuilder::add(const std::string& cause, Picoseconds time) {
  assert(time.count >= 0);
  if (time.count > 0) picoseconds_[cause] += time.count;
}

void BlameBuilder::add_split(const std::vector<std::pair<std::string, Seconds>>& parts,
                             Picoseconds time) {
  if (time.count == 0) return;
  assert(!parts.empty());
  double whole = 0;
  for (const auto& part : parts) whole += part.second.value;
  std::vector<std::int64_t> floor_of(parts.size(), 0);
  std::vector<std::pair<double, std::size_t>> by_remainder;
  std::int64_t left = time.count;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double fraction = whole > 0 ? parts[i].second.value / whole : (i == 0 ? 1.0 : 0.0);
    const double exact = static_cast<double>(time.count) * fraction;
    floor_of[i] = std::min(left, static_cast<std::int64_t>(exact));
    left -= floor_of[i];
    if (fraction > 0) by_remainder.push_back({exact - static_cast<double>(floor_of[i]), i});
  }
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  // Rounding of doubles may leave more than one picosecond per part in very long spans.
  for (std::size_t k = 0; left > 0; k = (k + 1) % by_remainder.size(), --left)
    ++floor_of[by_remainder[k].second];
  for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i].first, {floor_of[i]});
}

Blame BlameBuilder::build() const {
  Blame blame;
  for (const auto& [cause, picoseconds] : picoseconds_) blame.push_back({cause, {picoseconds}});
  std::stable_sort(blame.begin(), blame.end(), [](const BlameEntry& a, const BlameEntry& b) {
    return a.time.count > b.time.count;
  });
  return blame;
}

Picoseconds BlameBuilder::total() const {
  Picoseconds sum;
  for (const auto& entry : picoseconds_) sum += Picoseconds{entry.second};
  return sum;
}

}  // namespace railwright::emulator
