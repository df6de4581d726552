#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <numeric>

#include "topology/document.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {
namespace {

constexpr std::size_t max_length = 64;  // a longer word is no slip of the pen

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Levenshtein distance, ignoring case.
std::size_t distance_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (lower(a[i]) != lower(b[j]));
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

bool contains(std::string_view text, std::string_view part) {
  const auto equal = [](char a, char b) { return lower(a) == lower(b); };
  return !part.empty() &&
         std::search(text.begin(), text.end(), part.begin(), part.end(), equal) != text.end();
}

constexpr std::size_t part_farness = 100;  // farness of a part, beyond that of any slip

// How far a name is from what was wanted; nothing when it is no candidate. A part of a name ("h100"
// of "h100-sxm5-80gb") is near, behind the typing errors.
std::optional<std::size_t> farness(std::string_view wanted, std::string_view name) {
  const std::size_t distance = distance_between(wanted, name);
  const std::size_t slips = wanted.size() < 4 ? 1 : std::max<std::size_t>(2, wanted.size() / 3);
  if (distance <= slips) return distance;
  if (wanted.size() >= 3 &&
      (contains(name, wanted) || (name.size() >= 3 && contains(wanted, name))))
    return part_farness + distance;
  return std::nullopt;
}

}  // namespace

std::vector<std::string> closest_names(std::string_view wanted, std::vector<std::string> names) {
  std::vector<std::pair<std::size_t, std::string>> near;
  if (wanted.empty() || wanted.size() > max_length) return {};
  for (std::string& name : names)
    if (name.size() <= max_length)
      if (const auto far = farness(wanted, name)) near.emplace_back(*far, std::move(name));
  std::sort(near.begin(), near.end());
  near.erase(std::unique(near.begin(), near.end()), near.end());
  // One slip away beats two; the parts of a name are all worth showing.
  const std::size_t reach =
      near.empty() || near.front().first >= part_farness ? SIZE_MAX : near.front().first;
  std::erase_if(near, [&](const auto& name) { return name.first > reach; });
  if (near.size() > 3) near.resize(3);
  std::vector<std::string> out;
  for (auto& [far, name] : near) out.push_back(std::move(name));
  return out;
}

std::string closest_hint(std::string_view wanted, const std::vector<std::string>& names) {
  const std::vector<std::string> near = closest_names(wanted, names);
  if (near.empty()) return {};
  return fmt::format("did you mean '{}'?", fmt::join(near, "' or '"));
}

}  // namespace railwright::topology
