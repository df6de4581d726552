// Quantities with their units. This is the only file that knows what a giga, a bit or a KiB is.
//
// SI by default (GB = 1e9 bytes); binary only when spelled so (GiB). Every rate is per direction.
// Formulas use Seconds (double); events use Instant and Picoseconds (int64), rounded up in one
// function. `bandwidth + latency` does not compile; `Bytes / Bandwidth` is Seconds.
#pragma once

#include <cassert>
#include <cmath>
#include <compare>
#include <cstdint>

namespace railwright {

struct Bytes {
  std::uint64_t count = 0;
  auto operator<=>(const Bytes&) const = default;
};
struct Seconds {
  double value = 0;
  auto operator<=>(const Seconds&) const = default;
};
struct Bandwidth {
  double bytes_per_second = 0;
  auto operator<=>(const Bandwidth&) const = default;
};
struct Flops {
  double count = 0;
  auto operator<=>(const Flops&) const = default;
};
struct FlopRate {
  double per_second = 0;
  auto operator<=>(const FlopRate&) const = default;
};
struct Watts {
  double value = 0;
  auto operator<=>(const Watts&) const = default;
};
struct Dollars {
  double value = 0;
  auto operator<=>(const Dollars&) const = default;
};
struct JoulesPerBit {
  double value = 0;
  auto operator<=>(const JoulesPerBit&) const = default;
};

// A span of event time. 2^63 ps are 106 days: longer studies use a coarser clock.
struct Picoseconds {
  std::int64_t count = 0;
  auto operator<=>(const Picoseconds&) const = default;
};
// A moment of event time, counted from the start of the emulation.
struct Instant {
  std::int64_t picoseconds = 0;
  auto operator<=>(const Instant&) const = default;
};

// ---- makers: the unit is in the name -------------------------------------------------------
constexpr Bytes bytes(std::uint64_t n) { return {n}; }
constexpr Bytes kibibytes(std::uint64_t n) { return {n << 10}; }
constexpr Bytes mebibytes(std::uint64_t n) { return {n << 20}; }
constexpr Bytes gibibytes(std::uint64_t n) { return {n << 30}; }
constexpr Bandwidth bytes_per_second(double x) { return {x}; }
constexpr Bandwidth gigabytes_per_second(double x) { return {x * 1e9}; }
constexpr Bandwidth gigabits_per_second(double x) { return {x * 1e9 / 8}; }
constexpr Seconds seconds(double x) { return {x}; }
constexpr Seconds milliseconds(double x) { return {x / 1e3}; }
constexpr Seconds microseconds(double x) { return {x / 1e6}; }
constexpr Seconds nanoseconds(double x) { return {x / 1e9}; }
constexpr FlopRate teraflops(double x) { return {x * 1e12}; }
constexpr JoulesPerBit picojoules_per_bit(double x) { return {x / 1e12}; }

// ---- views in the units people print ---------------------------------------------------------
constexpr double in_gigabytes_per_second(Bandwidth b) { return b.bytes_per_second / 1e9; }
constexpr double in_bits_per_second(Bandwidth b) { return b.bytes_per_second * 8; }
constexpr double in_gibibytes(Bytes b) {
  return static_cast<double>(b.count) / static_cast<double>(1ull << 30);
}
constexpr double in_teraflops(FlopRate r) { return r.per_second / 1e12; }
constexpr double in_milliseconds(Seconds t) { return t.value * 1e3; }
constexpr double in_microseconds(Seconds t) { return t.value * 1e6; }

// ---- algebra ----------------------------------------------------------------------------------
constexpr Bytes operator+(Bytes a, Bytes b) { return {a.count + b.count}; }
constexpr Bytes operator-(Bytes a, Bytes b) { return {a.count - b.count}; }
constexpr Bytes operator*(std::uint64_t n, Bytes b) { return {n * b.count}; }
constexpr Bytes& operator+=(Bytes& a, Bytes b) { return a = a + b; }
constexpr Seconds operator+(Seconds a, Seconds b) { return {a.value + b.value}; }
constexpr Seconds operator-(Seconds a, Seconds b) { return {a.value - b.value}; }
constexpr Seconds operator*(double n, Seconds t) { return {n * t.value}; }
constexpr double operator/(Seconds a, Seconds b) { return a.value / b.value; }
constexpr Seconds& operator+=(Seconds& a, Seconds b) { return a = a + b; }
constexpr Bandwidth operator+(Bandwidth a, Bandwidth b) {
  return {a.bytes_per_second + b.bytes_per_second};
}
constexpr Bandwidth operator*(double n, Bandwidth b) { return {n * b.bytes_per_second}; }
constexpr double operator/(Bandwidth a, Bandwidth b) {
  return a.bytes_per_second / b.bytes_per_second;
}
constexpr Seconds operator/(Bytes b, Bandwidth w) {
  return {static_cast<double>(b.count) / w.bytes_per_second};
}
constexpr Bandwidth operator/(Bytes b, Seconds t) {
  return {static_cast<double>(b.count) / t.value};
}
constexpr Flops operator+(Flops a, Flops b) { return {a.count + b.count}; }
constexpr Flops operator*(double n, Flops f) { return {n * f.count}; }
constexpr Seconds operator/(Flops f, FlopRate r) { return {f.count / r.per_second}; }
constexpr FlopRate operator*(double n, FlopRate r) { return {n * r.per_second}; }
constexpr Watts operator+(Watts a, Watts b) { return {a.value + b.value}; }
constexpr Watts operator*(double n, Watts w) { return {n * w.value}; }
constexpr Dollars operator+(Dollars a, Dollars b) { return {a.value + b.value}; }
constexpr Dollars operator*(double n, Dollars d) { return {n * d.value}; }

constexpr Picoseconds operator+(Picoseconds a, Picoseconds b) { return {a.count + b.count}; }
constexpr Picoseconds operator-(Picoseconds a, Picoseconds b) { return {a.count - b.count}; }
constexpr Picoseconds& operator+=(Picoseconds& a, Picoseconds b) { return a = a + b; }
constexpr Picoseconds operator-(Instant a, Instant b) { return {a.picoseconds - b.picoseconds}; }

// Overflow of event time is our bug or a request for months of picoseconds: checked, never wrapped.
constexpr Instant operator+(Instant a, Picoseconds d) {
  std::int64_t sum = 0;
  const bool overflow = __builtin_add_overflow(a.picoseconds, d.count, &sum);
  assert(!overflow && "event time beyond 106 days");
  return {overflow ? INT64_MAX : sum};
}

// The one place where a formula's time becomes event time: rounded up, so that nothing ends early.
// A relative guard of 1e-12 keeps 3 * 0.1 s from becoming one picosecond more than 0.3 s.
inline Picoseconds ceil_picoseconds(Seconds t) {
  const double exact = t.value * 1e12;
  assert(exact >= 0 && exact < 9.2e18 && "event time beyond 106 days");
  return {static_cast<std::int64_t>(std::ceil(exact * (1 - 1e-12)))};
}
constexpr Seconds in_seconds(Picoseconds d) { return {static_cast<double>(d.count) * 1e-12}; }

}  // namespace railwright
