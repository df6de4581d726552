#include "worker/commands.hpp"

#include <fmt/format.h>

#include <charconv>

namespace railwright::worker {

CLI::Validator seconds_above(double low, bool with_low) {
  constexpr double most = 1e9;
  const auto check = [low, with_low](std::string& text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    const bool read = error == std::errc{} && stop == end;
    if (read && (value > low || (with_low && value == low)) && value <= most) return std::string();
    return fmt::format("'{}' is no number of seconds {} {} and at most 1e9", text,
                       with_low ? "from" : "above", low);
  };
  return CLI::Validator(check, "SECONDS");
}

}  // namespace railwright::worker
