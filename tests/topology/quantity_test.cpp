#include "topology/quantity.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

using namespace railwright;

namespace {

// Uniform in the exponent: what files say spans many orders of magnitude.
double random_magnitude(std::mt19937_64& generator, double low, double high) {
  const double unit = static_cast<double>(generator() >> 11) * 0x1p-53;
  return std::exp(std::log(low) + unit * (std::log(high) - std::log(low)));
}

template <class T>
std::string hint_of(const Parsed<T>& parsed) {
  REQUIRE_FALSE(parsed);
  return parsed.error().hint;
}
template <class T>
std::string message_of(const Parsed<T>& parsed) {
  REQUIRE_FALSE(parsed);
  return parsed.error().message;
}

}  // namespace

TEST_CASE("printed bandwidths, times and rates read back to three digits") {
  std::mt19937_64 generator(7);
  for (int i = 0; i < 2000; ++i) {
    const double x = random_magnitude(generator, 1, 1e16);
    INFO("seed 7, draw " << i << ", " << x);
    CHECK(parse_bandwidth(to_string(Bandwidth{x}))->bytes_per_second == Approx(x).epsilon(5e-3));
    CHECK(parse_flop_rate(to_string(FlopRate{x}))->per_second == Approx(x).epsilon(5e-3));
    const double t = x * 1e-12;
    CHECK(parse_seconds(to_string(Seconds{t}))->value == Approx(t).epsilon(5e-3));
  }
}

TEST_CASE("printed sizes read back to three digits, whole units exactly") {
  std::mt19937_64 generator(8);
  for (int i = 0; i < 2000; ++i) {
    const auto count = static_cast<std::uint64_t>(random_magnitude(generator, 1, 1e15));
    INFO("seed 8, draw " << i << ", " << count);
    const auto read = parse_bytes(to_string(Bytes{count}));
    REQUIRE(read);
    CHECK(static_cast<double>(read->count) ==
          Approx(static_cast<double>(count)).epsilon(5e-3).margin(1));
  }
  for (std::uint64_t unit : {1ull, 1000ull, 1024ull, 1000000ull, 1ull << 20, 1000000000ull,
                             1ull << 30, 1000000000000ull, 1ull << 40})
    for (std::uint64_t n : {1ull, 2ull, 80ull, 141ull, 999ull})
      CHECK(*parse_bytes(to_string(Bytes{n * unit})) == Bytes{n * unit});
}

TEST_CASE("sizes print in the family that says them exactly") {
  CHECK(to_string(gibibytes(1)) == "1 GiB");
  CHECK(to_string(bytes(80'000'000'000)) == "80 GB");
  CHECK(to_string(mebibytes(1536)) == "1.5 GiB");
  CHECK(to_string(bytes(0)) == "0 B");
  CHECK(to_string(bytes(1234567)) == "1.18 MiB");
}

TEST_CASE("bandwidth prints in bytes, time in the unit that fits") {
  CHECK(to_string(gigabits_per_second(400)) == "50 GB/s");
  CHECK(to_string(gigabytes_per_second(3350)) == "3.35 TB/s");
  CHECK(to_string(milliseconds(12.34)) == "12.3 ms");
  CHECK(to_string(nanoseconds(999.9)) == "1.00 us");
  CHECK(to_string(seconds(0)) == "0 s");
  CHECK(to_string(teraflops(989)) == "989 TFLOP/s");
}

TEST_CASE("bits and bytes are never confused") {
  CHECK(*parse_bandwidth("400 Gb/s") == *parse_bandwidth("50 GB/s"));
  CHECK(*parse_bandwidth("400Gb/s") == gigabits_per_second(400));
  CHECK(parse_bandwidth("1 GiB/s")->bytes_per_second == 1073741824);
}

TEST_CASE("every documented unit is read") {
  CHECK(*parse_bytes("1 TiB") == bytes(1ull << 40));
  CHECK(*parse_bytes("1.5 kB") == bytes(1500));
  CHECK(*parse_seconds("250 ns") == nanoseconds(250));
  CHECK(parse_seconds("2 min")->value == 120);
  CHECK(parse_seconds("1 d")->value == 86400);
  CHECK(*parse_flop_rate("1.979 PFLOP/s") == FlopRate{1979e12});
  CHECK(parse_watts("14.3 kW")->value == Approx(14300));
  CHECK(parse_dollars("$ 1499")->value == 1499);
  CHECK(parse_dollars("1499 USD")->value == 1499);
  CHECK(parse_joules_per_bit("21 pJ/b")->value == Approx(21e-12));
}

TEST_CASE("a number without its unit is refused with both readings") {
  CHECK(message_of(parse_bandwidth("400")) == "'400' has no unit");
  CHECK(hint_of(parse_bandwidth("400")) == "write '400 Gb/s' or '400 GB/s'");
  CHECK(hint_of(parse_bytes("80")) == "write '80 GB' or '80 GiB'");
}

TEST_CASE("a unit that is nearly right is named in the hint") {
  CHECK(message_of(parse_bandwidth("50 GBps")) == "unknown unit '50 GBps'");
  CHECK(hint_of(parse_bandwidth("50 GBps")) == "write '50 GB/s'");
  CHECK(hint_of(parse_bandwidth("400 Gbps")) == "write '400 Gb/s'");
  CHECK(hint_of(parse_bandwidth("50 gb/s")) == "write '50 Gb/s' or '50 GB/s'");
  CHECK(hint_of(parse_seconds("3 usec")) == "write '3 us'");
  CHECK(hint_of(parse_seconds("3 µs")) == "write '3 us'");
  CHECK(hint_of(parse_flop_rate("989 TFLOPS")) == "write '989 TFLOP/s'");
  CHECK(hint_of(parse_bytes("16 KB")) == "write '16 kB'");
}

TEST_CASE("negative, zero, infinite and absurd quantities are refused") {
  CHECK(message_of(parse_bandwidth("-5 GB/s")) == "negative bandwidth '-5 GB/s'");
  CHECK_FALSE(parse_bandwidth("0 GB/s"));
  CHECK_FALSE(parse_bandwidth("inf GB/s"));
  CHECK_FALSE(parse_bandwidth("nan GB/s"));
  CHECK_FALSE(parse_bandwidth("1e308 TB/s"));
  CHECK_FALSE(parse_bandwidth("1e999 GB/s"));
  CHECK_FALSE(parse_flop_rate("0 FLOP/s"));
  CHECK_FALSE(parse_bytes("-1 B"));
  CHECK_FALSE(parse_bytes("0.5 B"));
  CHECK_FALSE(parse_bytes("99999999999 TB"));
  CHECK_FALSE(parse_seconds("-1 s"));
  CHECK_FALSE(parse_seconds(""));
  CHECK_FALSE(parse_dollars("$"));
  CHECK(parse_seconds("0 s"));
  CHECK(parse_bytes("0 B"));
}

TEST_CASE("message sizes are read as nccl-tests reads them") {
  CHECK(*parse_message_size("8") == bytes(8));
  CHECK(*parse_message_size("128M") == mebibytes(128));
  CHECK(*parse_message_size("1g") == gibibytes(1));
  CHECK(*parse_message_size("1GiB") == gibibytes(1));
  CHECK(*parse_message_size("1 GB") == bytes(1'000'000'000));
  CHECK_FALSE(parse_message_size("-8"));
  CHECK_FALSE(parse_message_size("8X"));
}
