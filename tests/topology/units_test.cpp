#include "topology/units.hpp"

#include <catch2/catch.hpp>
#include <type_traits>

using namespace railwright;

template <class A, class B>
concept addable = requires(A a, B b) {
  a + b;
};

TEST_CASE("adding quantities of different kinds does not compile") {
  STATIC_REQUIRE_FALSE(addable<Bandwidth, Seconds>);
  STATIC_REQUIRE_FALSE(addable<Bytes, Bandwidth>);
  STATIC_REQUIRE_FALSE(addable<Instant, Seconds>);
  STATIC_REQUIRE(addable<Seconds, Seconds>);
}

TEST_CASE("bytes over bandwidth is time") {
  STATIC_REQUIRE(std::is_same_v<decltype(bytes(1) / gigabytes_per_second(1)), Seconds>);
  CHECK((bytes(50'000'000'000) / gigabits_per_second(400)).value ==
        Approx(1.0));  // 400 Gb/s = 50 GB/s
}

TEST_CASE("event time is rounded up, but not because of the last bit of a double") {
  CHECK(ceil_picoseconds(seconds(1.5e-12)).count == 2);
  CHECK(ceil_picoseconds(seconds(0)).count == 0);
  CHECK(ceil_picoseconds(3 * seconds(0.1)).count == 300'000'000'000);
  CHECK(ceil_picoseconds(nanoseconds(1)).count == 1000);
}
