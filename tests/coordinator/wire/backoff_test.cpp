#include "coordinator/wire/backoff.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

using railwright::coordinator::wire::back_off;

TEST_CASE("waits grow to two seconds, and are spread over all of that") {
  std::mt19937_64 draws(1);
  for (int failures = 1; failures <= 100; ++failures) {
    const std::int64_t most = failures < 6 ? 100 << (failures - 1) : 2'000;
    std::int64_t sum = 0, largest = 0;
    for (int i = 0; i < 1'000; ++i) {
      const std::int64_t wait = back_off(failures, draws()).count();
      REQUIRE((wait >= 0 && wait < most));
      sum += wait;
      largest = std::max(largest, wait);
    }
    // Uniform: the mean of a thousand is within 5 sigma = 5 most / sqrt(12,000) < most / 20 of
    // the middle.
    CHECK(std::abs(2 * sum - 1'000 * most) < 100 * most);
    CHECK(largest > most * 9 / 10);
  }
}
