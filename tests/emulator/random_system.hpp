// Random max-min systems for the tests: fixed seed, same system everywhere.
#pragma once

#include <algorithm>
#include <random>

#include "emulator/solver.hpp"

namespace railwright::emulator {

inline double uniform(std::mt19937_64& generator, double low, double high) {
  return low + (high - low) * (static_cast<double>(generator() >> 11) * 0x1.0p-53);
}
inline int below(std::mt19937_64& generator, int n) {
  return static_cast<int>(generator() % static_cast<std::uint64_t>(n));
}

// Up to 40 links and 80 variables; half of the systems draw from few values, so that ties abound.
inline System random_system(std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  const bool coarse = generator() % 2 == 0;
  const auto value = [&](double low, double high) {
    return coarse ? low * (1 + below(generator, 3)) : uniform(generator, low, high);
  };
  System system;
  const int links = 1 + below(generator, 40);
  for (int l = 0; l < links; ++l) system.capacity.push_back(value(10, 400));
  const int variables = 1 + below(generator, 80);
  for (int v = 0; v < variables; ++v) {
    Variable variable;
    for (int l = 0; l < links; ++l)
      if (below(generator, links) < 4)
        variable.consumption.push_back(
            {l, coarse ? 1.0 / (1 + below(generator, 4)) : uniform(generator, 0.05, 1)});
    std::shuffle(variable.consumption.begin(), variable.consumption.end(), generator);
    variable.share = value(0.5, 8);
    if (variable.consumption.empty() || below(generator, 4) == 0) variable.cap = value(1, 60);
    system.variables.push_back(std::move(variable));
  }
  return system;
}

}  // namespace railwright::emulator
