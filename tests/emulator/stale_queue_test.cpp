#include "emulator/network/stale_queue.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "tests/emulator/random_system.hpp"

using namespace railwright::emulator;

TEST_CASE("stale links leave once each, the lowest level first up to 1 / 512") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 generator(seed);
    StaleQueue queue;
    std::map<int, double> waiting;
    for (int step = 0; step < 2000; ++step) {
      const int link = below(generator, 300);
      if (below(generator, 2) == 0 && !waiting.contains(link)) {
        const double level = below(generator, 20) == 0 ? 0 : std::exp(uniform(generator, -13, 74));
        waiting[link] = level;
        queue.push(level, link);
      } else if (!waiting.empty()) {
        REQUIRE_FALSE(queue.empty());
        double lowest = std::numeric_limits<double>::infinity();
        for (const auto& [other, level] : waiting) lowest = std::min(lowest, level);
        const int first = queue.pop();
        REQUIRE(waiting.contains(first));
        REQUIRE(waiting[first] <= lowest * (1 + 1.0 / 512));
        waiting.erase(first);
      }
      REQUIRE(queue.empty() == waiting.empty());
    }
  }
}
