// Text to quantity and back. A number without its unit is an error: "400" says neither Gb/s nor
// GB/s.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "topology/result.hpp"
#include "topology/units.hpp"

namespace railwright {

// Each reads "<number> <unit>" (space optional) and returns the message and hint on failure.
// Accepted units, case-sensitive (b = bit, B = byte):
//   bytes      B kB MB GB TB (1000), KiB MiB GiB TiB (1024)
//   bandwidth  b/s kb/s Mb/s Gb/s Tb/s, B/s kB/s MB/s GB/s TB/s, KiB/s MiB/s GiB/s
//   seconds    ps ns us ms s min h d
//   rate       FLOP/s GFLOP/s TFLOP/s PFLOP/s        watts  mW W kW MW
//   dollars    "$ 1499" or "1499 USD"                energy pJ/b J/b
template <class T>
using Parsed = tl::expected<T, ConfigError>;  // `place` is filled in by the caller

Parsed<Bytes> parse_bytes(std::string_view text);
Parsed<Bandwidth> parse_bandwidth(std::string_view text);
Parsed<Seconds> parse_seconds(std::string_view text);
Parsed<FlopRate> parse_flop_rate(std::string_view text);
Parsed<Watts> parse_watts(std::string_view text);
Parsed<Dollars> parse_dollars(std::string_view text);
Parsed<JoulesPerBit> parse_joules_per_bit(std::string_view text);
// nccl-tests dialect for -b and -e: "8", "128M", "1GiB"; K, M, G alone are 1024-based there.
Parsed<Bytes> parse_message_size(std::string_view text);

// For people: three significant digits and the unit that fits, "400 Gb/s" never for bytes.
std::string to_string(Bytes size);      // "1.5 GiB", exact powers of 1000 or 1024 preferred
std::string to_string(Bandwidth rate);  // "450 GB/s"
std::string to_string(Seconds time);    // "12.3 ms"
std::string to_string(FlopRate rate);   // "989 TFLOP/s"

}  // namespace railwright
