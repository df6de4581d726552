#include "emulator/blame.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::emulator {

std::vector<Picoseconds> split(const BlameParts& parts, Picoseconds time) {
  std::vector<Picoseconds> times(parts.size());
  if (time.count == 0) return times;
  assert(!parts.empty());
  double whole = 0;
  for (const auto& part : parts) whole += part.second.value;
  std::vector<std::pair<double, std::size_t>> by_remainder;
  std::int64_t left = time.count;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double fraction = whole > 0 ? parts[i].second.value / whole : (i == 0 ? 1.0 : 0.0);
    const double exact = static_cast<double>(time.count) * fraction;
    times[i].count = std::min(left, static_cast<std::int64_t>(exact));
    left -= times[i].count;
    if (fraction > 0) by_remainder.push_back({exact - static_cast<double>(times[i].count), i});
  }
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  // Rounding of doubles may leave more than one picosecond per part in very long spans.
  for (std::size_t k = 0; left > 0; k = (k + 1) % by_remainder.size(), --left)
    ++times[by_remainder[k].second].count;
  return times;
}

void BlameBuilder::add(const std::string& cause, Picoseconds time) {
  assert(time.count >= 0);
  if (time.count > 0) picoseconds_[cause] += time.count;
}

void BlameBuilder::add_split(const BlameParts& parts, Picoseconds time) {
  const std::vector<Picoseconds> times = split(parts, time);
  for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i].first, times[i]);
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
