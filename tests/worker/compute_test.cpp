// The CPU's products and copies.
#include <catch2/catch.hpp>

#include "worker/compute/compute.hpp"

namespace railwright::worker {
namespace {

TEST_CASE("a CPU takes longer for more work, and its products are right") {
  const auto cpu = make_cpu();
  CHECK_FALSE(cpu->on_gpu());
  const auto small = cpu->multiply(64, 64, 64), large = cpu->multiply(256, 256, 256);
  REQUIRE(small);
  REQUIRE(large);
  CHECK(small->value > 0);
  CHECK(large->value > 4 * small->value);  // 64 times the work
  const auto little = cpu->copy(mebibytes(1)), much = cpu->copy(mebibytes(64));
  REQUIRE(little);
  REQUIRE(much);
  CHECK(much->value > 8 * little->value);
}

}  // namespace
}  // namespace railwright::worker
