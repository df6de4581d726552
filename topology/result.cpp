#include "topology/result.hpp"

#include <fmt/format.h>

namespace railwright {

std::string to_string(const ConfigError& error) { return to_string(error, "error"); }

std::string to_string(const ConfigError& error, std::string_view severity) {
  std::string out = error.place.file;
  if (error.place.line > 0) out += fmt::format(":{}:{}", error.place.line, error.place.column);
  if (!out.empty()) out += ": ";
  out += fmt::format("{}: {}", severity, error.message);
  if (!error.hint.empty()) out += "; " + error.hint;
  return out;
}

std::string to_string(const Errors& errors) {
  std::string out;
  for (const ConfigError& error : errors) out += to_string(error) + "\n";
  return out;
}

}  // namespace railwright
