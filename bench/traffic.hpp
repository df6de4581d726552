// Traffic in which nothing folds, for the benchmarks; the SimGrid program makes the same from this
// header, so it knows the standard library only.
#pragma once

#include <cstdint>
#include <numeric>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace railwright::bench {

struct Flow {
  int source = 0, target = 0;          // hosts
  std::uint64_t bytes = 0;             // 1 MB to 100 MB, uniform
  std::int64_t start_picoseconds = 0;  // ascending
};

inline std::uint64_t random_size(std::mt19937_64& generator) {
  return 1'000'000 + generator() % 99'000'001;
}

// Random permutations one upon another, all started at once. Whom a permutation maps to itself
// sends to the next host.
inline std::vector<Flow> stacked_permutations(int hosts, int flows, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<int> target_of(hosts);
  std::vector<Flow> result;
  for (int f = 0; f < flows; ++f) {
    const int source = f % hosts;
    if (source == 0) {
      std::iota(target_of.begin(), target_of.end(), 0);
      for (int k = hosts - 1; k > 0; --k)
        std::swap(target_of[k], target_of[generator() % static_cast<std::uint64_t>(k + 1)]);
    }
    const int target = target_of[source] == source ? (source + 1) % hosts : target_of[source];
    result.push_back({source, target, random_size(generator), 0});
  }
  return result;
}

// Random pairs; gaps between starts are uniform with a mean of 200 ns x 1,024 / hosts, so that
// about two of three started flows are in flight at the end of 10,000 starts.
inline std::vector<Flow> staggered_pairs(int hosts, int flows, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  const auto widest_gap = static_cast<std::uint64_t>(409'600'000 / hosts);
  std::vector<Flow> result;
  std::int64_t start = 0;
  for (int f = 0; f < flows; ++f) {
    const int source = static_cast<int>(generator() % static_cast<std::uint64_t>(hosts));
    const auto other = static_cast<int>(generator() % static_cast<std::uint64_t>(hosts - 1));
    start += static_cast<std::int64_t>(generator() % (widest_gap + 1));
    result.push_back({source, (source + 1 + other) % hosts, random_size(generator), start});
  }
  return result;
}

// "permutations" or "staggered"; empty for another name.
inline std::vector<Flow> traffic_named(std::string_view name, int hosts, int flows,
                                       std::uint64_t seed) {
  if (name == "permutations") return stacked_permutations(hosts, flows, seed);
  if (name == "staggered") return staggered_pairs(hosts, flows, seed);
  return {};
}

}  // namespace railwright::bench
