// --precision of the commands that describe a training.
#pragma once

#include <string>

#include "topology/topology.hpp"

namespace railwright::coordinator {

// "fp32", "tf32", "bf16", "fp16", "fp8" or "fp4".
tl::expected<topology::Precision, ConfigError> parse_precision(const std::string& text);

}  // namespace railwright::coordinator
