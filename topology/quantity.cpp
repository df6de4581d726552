#include "topology/quantity.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <vector>

namespace railwright {
namespace {

struct Unit {
  std::string_view name;
  double factor;
  // How people spell it otherwise; never accepted, but understood in the hint.
  std::vector<std::string_view> also = {};
};

// What a quantity is called, its units, and whether zero makes sense.
struct Dimension {
  std::string_view name;
  std::vector<Unit> units;
  std::array<std::string_view, 2> suggested;  // for a number without a unit
  bool zero_allowed = true;
};

const Dimension& byte_dimension() {
  static const Dimension dimension{"size",
                                   {{"B", 1, {"byte", "bytes"}},
                                    {"kB", 1e3, {"K", "k"}},
                                    {"MB", 1e6, {"M"}},
                                    {"GB", 1e9, {"G"}},
                                    {"TB", 1e12, {"T"}},
                                    {"KiB", 1024, {"Ki"}},
                                    {"MiB", 1048576, {"Mi"}},
                                    {"GiB", 1073741824, {"Gi"}},
                                    {"TiB", 1099511627776, {"Ti"}}},
                                   {"GB", "GiB"}};
  return dimension;
}

const Dimension& bandwidth_dimension() {
  static const Dimension dimension{"bandwidth",
                                   {{"b/s", 1.0 / 8, {"bps", "bit/s"}},
                                    {"kb/s", 1e3 / 8, {"kbps", "kbit/s"}},
                                    {"Mb/s", 1e6 / 8, {"Mbps", "Mbit/s"}},
                                    {"Gb/s", 1e9 / 8, {"Gbps", "Gbit/s"}},
                                    {"Tb/s", 1e12 / 8, {"Tbps", "Tbit/s"}},
                                    {"B/s", 1, {"Bps"}},
                                    {"kB/s", 1e3, {"kBps", "KBps"}},
                                    {"MB/s", 1e6, {"MBps"}},
                                    {"GB/s", 1e9, {"GBps"}},
                                    {"TB/s", 1e12, {"TBps"}},
                                    {"KiB/s", 1024, {"KiBps"}},
                                    {"MiB/s", 1048576, {"MiBps"}},
                                    {"GiB/s", 1073741824, {"GiBps"}}},
                                   {"Gb/s", "GB/s"},
                                   false};
  return dimension;
}

const Dimension& time_dimension() {
  static const Dimension dimension{"time",
                                   {{"ps", 1e-12},
                                    {"ns", 1e-9, {"nsec"}},
                                    {"us", 1e-6, {"µs", "μs", "usec"}},
                                    {"ms", 1e-3, {"msec"}},
                                    {"s", 1, {"sec", "second", "seconds"}},
                                    {"min", 60, {"m", "minute", "minutes"}},
                                    {"h", 3600, {"hour", "hours"}},
                                    {"d", 86400, {"day", "days"}}},
                                   {"us", "ms"}};
  return dimension;
}

const Dimension& flop_rate_dimension() {
  static const Dimension dimension{"rate",
                                   {{"FLOP/s", 1, {"FLOPS"}},
                                    {"GFLOP/s", 1e9, {"GFLOPS", "GFLOP"}},
                                    {"TFLOP/s", 1e12, {"TFLOPS", "TFLOP", "TF"}},
                                    {"PFLOP/s", 1e15, {"PFLOPS", "PFLOP", "PF"}}},
                                   {"TFLOP/s", "GFLOP/s"},
                                   false};
  return dimension;
}

const Dimension& power_dimension() {
  static const Dimension dimension{
      "power", {{"mW", 1e-3}, {"W", 1, {"watt", "watts"}}, {"kW", 1e3}, {"MW", 1e6}}, {"W", "kW"}};
  return dimension;
}

const Dimension& energy_dimension() {
  static const Dimension dimension{"energy per bit",
                                   {{"pJ/b", 1e-12, {"pJ/bit", "pJ"}}, {"J/b", 1, {"J/bit"}}},
                                   {"pJ/b", "pJ/b"}};
  return dimension;
}

bool equal_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// Units that `spelled` may stand for: an alias of one, or, when none is, some in the wrong case.
std::vector<std::string_view> meant_by(std::string_view spelled, const Dimension& dimension) {
  std::vector<std::string_view> exact, loose;
  for (const Unit& unit : dimension.units) {
    bool alias = false, near = equal_but_for_case(spelled, unit.name);
    for (const std::string_view also : unit.also) {
      alias |= also == spelled;
      near |= equal_but_for_case(spelled, also);
    }
    if (alias) exact.push_back(unit.name);
    if (near) loose.push_back(unit.name);
  }
  return exact.empty() ? loose : exact;
}

std::string with_units(std::string_view number, std::span<const std::string_view> units) {
  std::string out = "write ";
  for (std::size_t i = 0; i < units.size() && (i == 0 || units[i] != units[i - 1]); ++i)
    out += fmt::format("{}'{} {}'", i == 0 ? "" : " or ", number, units[i]);
  return out;
}

tl::unexpected<ConfigError> refused(std::string message, std::string hint = {}) {
  return tl::unexpected<ConfigError>(ConfigError{{}, std::move(message), std::move(hint)});
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::string shortened(std::string_view text) {
  return text.size() <= 40 ? std::string(text) : std::string(text.substr(0, 37)) + "...";
}

struct NumberAndUnit {
  std::string_view number, unit;
  double value = 0;
};

Parsed<NumberAndUnit> split(std::string_view text, const Dimension& dimension) {
  text = trimmed(text);
  NumberAndUnit out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.value);
  if (error == std::errc::result_out_of_range)
    return refused(fmt::format("'{}' is out of range", shortened(text)));
  if (error != std::errc())
    return refused(fmt::format("'{}' is no {}", shortened(text), dimension.name),
                   with_units("10", dimension.suggested));
  const auto digits = static_cast<std::size_t>(end - text.data());
  out.number = text.substr(0, digits);
  out.unit = trimmed(text.substr(digits));
  if (!std::isfinite(out.value)) return refused(fmt::format("'{}' is not finite", shortened(text)));
  if (std::signbit(out.value) && out.value != 0)
    return refused(fmt::format("negative {} '{}'", dimension.name, shortened(text)));
  if (out.value == 0 && !dimension.zero_allowed)
    return refused(fmt::format("{} is zero: '{}'", dimension.name, shortened(text)));
  return out;
}

Parsed<double> factor_of(const NumberAndUnit& read, const Dimension& dimension) {
  for (const Unit& unit : dimension.units)
    if (unit.name == read.unit) return unit.factor;
  if (read.unit.empty())
    return refused(fmt::format("'{}' has no unit", read.number),
                   with_units(read.number, dimension.suggested));
  const std::string spelled = shortened(fmt::format("{} {}", read.number, read.unit));
  const std::vector<std::string_view> meant = meant_by(read.unit, dimension);
  return refused(fmt::format("unknown unit '{}'", spelled),
                 meant.empty() ? with_units(read.number, dimension.suggested)
                               : with_units(read.number, meant));
}

Parsed<double> parse(std::string_view text, const Dimension& dimension) {
  const Parsed<NumberAndUnit> read = split(text, dimension);
  if (!read) return tl::unexpected<ConfigError>(read.error());
  const Parsed<double> factor = factor_of(*read, dimension);
  if (!factor) return factor;
  // Dividing by a whole number keeps 250 ns at 2.5e-7, where multiplying by 1e-9 would not.
  const double value = *factor < 1 ? read->value / std::round(1 / *factor) : read->value * *factor;
  if (!std::isfinite(value)) return refused(fmt::format("'{}' is out of range", shortened(text)));
  return value;
}

template <class T>
Parsed<T> parse_as(std::string_view text, const Dimension& dimension) {
  return parse(text, dimension).map([](double value) { return T{value}; });
}

// A whole number of a unit is exact; a fraction is rounded to the nearest byte.
Parsed<Bytes> to_bytes(std::string_view number, double value, double factor) {
  std::uint64_t whole = 0, product = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, whole);
  if (error == std::errc() && stop == end &&
      !__builtin_mul_overflow(whole, static_cast<std::uint64_t>(factor), &product))
    return Bytes{product};
  const double count = std::round(value * factor);
  if (!(count < 0x1p64)) return refused(fmt::format("'{}' is out of range", shortened(number)));
  if (factor == 1 && count != value)
    return refused(fmt::format("'{} B' is not a whole number of bytes", shortened(number)));
  return Bytes{static_cast<std::uint64_t>(count)};
}

}  // namespace

Parsed<Bytes> parse_bytes(std::string_view text) {
  const Parsed<NumberAndUnit> read = split(text, byte_dimension());
  if (!read) return tl::unexpected<ConfigError>(read.error());
  const Parsed<double> factor = factor_of(*read, byte_dimension());
  if (!factor) return tl::unexpected<ConfigError>(factor.error());
  return to_bytes(read->number, read->value, *factor);
}

Parsed<Bandwidth> parse_bandwidth(std::string_view text) {
  return parse_as<Bandwidth>(text, bandwidth_dimension());
}
Parsed<Seconds> parse_seconds(std::string_view text) {
  return parse_as<Seconds>(text, time_dimension());
}
Parsed<FlopRate> parse_flop_rate(std::string_view text) {
  return parse_as<FlopRate>(text, flop_rate_dimension());
}
Parsed<Watts> parse_watts(std::string_view text) {
  return parse_as<Watts>(text, power_dimension());
}
Parsed<JoulesPerBit> parse_joules_per_bit(std::string_view text) {
  return parse_as<JoulesPerBit>(text, energy_dimension());
}

Parsed<Dollars> parse_dollars(std::string_view text) {
  static const Dimension dimension{
      "price", {{"USD", 1, {"$", "dollar", "dollars"}}}, {"USD", "USD"}};
  text = trimmed(text);
  if (text.starts_with('$')) {
    const std::string spelled = std::string(trimmed(text.substr(1))) + " USD";
    return parse_as<Dollars>(spelled, dimension);
  }
  return parse_as<Dollars>(text, dimension);
}

Parsed<Bytes> parse_message_size(std::string_view text) {
  const Parsed<NumberAndUnit> read = split(text, byte_dimension());
  if (!read) return tl::unexpected<ConfigError>(read.error());
  static constexpr std::string_view prefixes = "KMGT";
  if (read->unit.empty()) return to_bytes(read->number, read->value, 1);
  if (read->unit.size() == 1) {
    const char letter = static_cast<char>(read->unit[0] & ~0x20);
    if (const std::size_t power = prefixes.find(letter); power != std::string_view::npos)
      return to_bytes(read->number, read->value, std::ldexp(1, 10 * (static_cast<int>(power) + 1)));
  }
  return parse_bytes(text);
}

// ---- printing

namespace {

// Three significant digits, whole numbers in full: "12.3", "450", "1023".
std::string three_digits(double value) {
  return std::abs(value) >= 999.5 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
}

// Three digits that stay three, for columns of times: "4.20", "12.0", "182".
std::string measured_digits(double value) {
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

struct Scale {
  std::string_view unit;
  double factor;
};

// The largest unit that leaves at least 1 after rounding to three digits, else the smallest.
std::string scaled(double value, std::span<const Scale> ascending,
                   std::string (*digits)(double) = three_digits) {
  const Scale* chosen = &ascending.front();
  for (const Scale& scale : ascending)
    if (std::abs(value) >= 0.9995 * scale.factor) chosen = &scale;
  return fmt::format("{} {}", digits(value / chosen->factor), chosen->unit);
}

constexpr Scale decimal_bytes[] = {{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}};
constexpr Scale binary_bytes[] = {
    {"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}};

bool prints_exactly(Bytes size, double unit, const std::string& digits) {
  double value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value >= 1 && value < 1024 && size.count < (std::uint64_t{1} << 53) &&
         value * unit == static_cast<double>(size.count);
}

}  // namespace

std::string to_string(Bytes size) {
  const auto count = static_cast<double>(size.count);
  for (int i = 3; i >= 0; --i) {  // TiB TB, GiB GB, ...: the first that three digits say exactly
    for (const Scale& scale : {binary_bytes[i + 1], decimal_bytes[3 - i]}) {
      const std::string digits = three_digits(count / scale.factor);
      if (prints_exactly(size, scale.factor, digits))
        return fmt::format("{} {}", digits, scale.unit);
    }
  }
  return scaled(count, binary_bytes);
}

std::string to_string(Bandwidth rate) {
  static constexpr Scale scales[] = {
      {"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}, {"TB/s", 1e12}};
  return scaled(rate.bytes_per_second, scales);
}

std::string to_string(Seconds time) {
  static constexpr Scale scales[] = {
      {"ps", 1e-12}, {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
  const double value = std::abs(time.value);
  if (time.value == 0) return "0 s";
  if (value < 999.5) return scaled(time.value, scales, measured_digits);
  if (value < 2 * 3600) return measured_digits(time.value / 60) + " min";
  if (value < 2 * 86400) return measured_digits(time.value / 3600) + " h";
  return measured_digits(time.value / 86400) + " d";
}

std::string to_string(FlopRate rate) {
  static constexpr Scale scales[] = {
      {"FLOP/s", 1}, {"GFLOP/s", 1e9}, {"TFLOP/s", 1e12}, {"PFLOP/s", 1e15}};
  return scaled(rate.per_second, scales);
}

}  // namespace railwright
