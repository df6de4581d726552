#include "worker/reducer.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "worker/element.hpp"

namespace railwright::worker {
namespace {

// Independent of the code under test: by comparing distances to the two neighbours.
std::uint16_t nearest(float value, float (*widen)(std::uint16_t), std::uint16_t infinity) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  std::uint16_t low = 0, high = infinity;  // bit patterns of magnitudes are ordered
  while (high - low > 1) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    (widen(middle) <= magnitude ? low : high) = middle;
  }
  // The number after the largest one, were the exponent not at its end.
  const double below = widen(low);
  const double above = high == infinity ? below + (below - widen(low - 1)) : widen(high);
  const bool up = magnitude - below > above - magnitude ||
                  (magnitude - below == above - magnitude && (low & 1));
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

TEST_CASE("every half and bfloat16 survives a trip through float") {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    if (std::isnan(float_of_half(pattern)))
      REQUIRE(std::isnan(float_of_half(half_of_float(float_of_half(pattern)))));
    else
      REQUIRE(half_of_float(float_of_half(pattern)) == pattern);
    if (std::isnan(float_of_bfloat16(pattern)))
      REQUIRE(std::isnan(float_of_bfloat16(bfloat16_of_float(float_of_bfloat16(pattern)))));
    else
      REQUIRE(bfloat16_of_float(float_of_bfloat16(pattern)) == pattern);
  }
}

TEST_CASE("half values are those of IEEE 754") {
  CHECK(float_of_half(0x3c00) == 1.0f);
  CHECK(float_of_half(0xc000) == -2.0f);
  CHECK(float_of_half(0x7bff) == 65504.0f);
  CHECK(float_of_half(0x0400) == 0x1p-14f);
  CHECK(float_of_half(0x0001) == 0x1p-24f);
  CHECK(std::isinf(float_of_half(0x7c00)));
  CHECK(float_of_bfloat16(0x3f80) == 1.0f);
}

TEST_CASE("narrowing rounds to nearest, ties to even") {
  const std::uint64_t seed = 11;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    // Every third value lies exactly between two halves, every third between two bfloat16.
    const std::uint32_t tie = i % 3 == 0   ? (bits & ~0x1fffu) | 0x1000u
                              : i % 3 == 1 ? (bits & ~0xffffu) | 0x8000u
                                           : bits;
    const float value = std::bit_cast<float>(tie);
    if (std::isnan(value)) continue;
    INFO("value " << value);
    REQUIRE(half_of_float(value) == nearest(value, float_of_half, 0x7c00));
    REQUIRE(bfloat16_of_float(value) == nearest(value, float_of_bfloat16, 0x7f80));
  }
}

TEST_CASE("reducing adds element by element, whatever the alignment and length") {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16})
    for (std::size_t count : {0, 1, 3, 7, 8, 17, 1000, 1003})
      for (std::size_t shift : {0, 1, 2}) {
        INFO(to_string(type) << " x " << count << " at " << shift);
        const std::size_t width = size_of(type);
        std::vector<std::byte> a(count * width + shift), b(count * width + shift);
        const std::span target(a.data() + shift, count * width);
        const std::span source(b.data() + shift, count * width);
        for (std::size_t i = 0; i < count; ++i) {
          store(type, target.data() + i * width, static_cast<float>(i % 50));
          store(type, source.data() + i * width, static_cast<float>(i % 70) + 0.5f);
        }
        Reducer(type, ReduceOp::sum)(target, source);
        for (std::size_t i = 0; i < count; ++i)
          REQUIRE(load(type, target.data() + i * width) ==
                  static_cast<float>(i % 50) + static_cast<float>(i % 70) + 0.5f);
      }
}

TEST_CASE("data types are named as nccl-tests names them") {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16})
    CHECK(parse_data_type(to_string(type)) == type);
  REQUIRE_FALSE(parse_data_type("double"));
  CHECK(parse_data_type("double").error().hint == "write float, half or bfloat16");
}

}  // namespace
}  // namespace railwright::worker
