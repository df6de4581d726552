#include "coordinator/commands/precision.hpp"

#include <array>
#include <utility>

namespace railwright::coordinator {

namespace {

using topology::Precision;

constexpr std::array<std::pair<const char*, Precision>, 6> precisions{{
    {"fp32", Precision::fp32},
    {"tf32", Precision::tf32},
    {"bf16", Precision::bf16},
    {"fp16", Precision::fp16},
    {"fp8", Precision::fp8},
    {"fp4", Precision::fp4},
}};

}  // namespace

tl::expected<topology::Precision, ConfigError> parse_precision(const std::string& text) {
  std::string names;
  for (const auto& [name, precision] : precisions) {
    if (name == text) return precision;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return tl::unexpected(
      ConfigError{{}, "--precision '" + text + "' does not exist", "write one of " + names});
}

}  // namespace railwright::coordinator
