#include "worker/bench/interval.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

namespace railwright::worker {
namespace {

TEST_CASE("the ranks of the interval are those of the tables of the sign test") {
  // Conover, Practical Nonparametric Statistics: n = 6: 1, 10: 2, 15: 4, 20: 6, 30: 10, 50: 18.
  CHECK(samples_outside(5) == 0);
  CHECK(samples_outside(6) == 1);
  CHECK(samples_outside(10) == 2);
  CHECK(samples_outside(15) == 4);
  CHECK(samples_outside(20) == 6);
  CHECK(samples_outside(30) == 10);
  CHECK(samples_outside(50) == 18);
  CHECK(samples_outside(5000) > 2400);
}

TEST_CASE("few samples have a median and no interval") {
  CHECK(median_of({3}).value == 3);
  CHECK(median_of({4, 1}).value == 2.5);
  CHECK_FALSE(median_of({1, 2, 3, 4, 5}).interval);
  const Median six = median_of({6, 5, 4, 3, 2, 1});
  REQUIRE(six.interval);
  CHECK(six.interval->low == 1);
  CHECK(six.interval->high == 6);
}

TEST_CASE("the interval covers the true median at least as often as it says") {
  // Skewed samples with median ln 2; coverage of 2,000 intervals is 95 % or more, up to 3 sigma.
  const std::uint64_t seed = 4;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  int covered = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<double> samples;
    for (int i = 0; i < 30; ++i)
      samples.push_back(-std::log((static_cast<double>(random() >> 11) + 0.5) * 0x1p-53));
    const Median median = median_of(std::move(samples));
    covered += median.interval->low <= std::log(2.0) && std::log(2.0) <= median.interval->high;
  }
  CHECK(covered >= 1900 - 30);
}

}  // namespace
}  // namespace railwright::worker
