// The options that describe a training, as several commands take them: read and checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulator/plan.hpp"

namespace railwright::coordinator {

// "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "mxfp8" or "nvfp4".
tl::expected<topology::Precision, ConfigError> parse_precision(const std::string& text);

// Both from 1 to 2^31, so that their product is still a count.
std::optional<ConfigError> wrong_batch(std::int64_t global_batch, std::int64_t sequence);

// The error of an option's text: says which option instead of a place in a file.
ConfigError of_option(const std::string& option, const ConfigError& error);

// The first accelerator of `--first-node N`.
Result<std::int64_t> first_accelerator(int node, const topology::Cluster& cluster);

// Every kind must name a rate for the precision: another one's would pass for it.
std::optional<ConfigError> missing_precision(
    const std::vector<const topology::AcceleratorKind*>& kinds, topology::Precision precision);
// How far a step may be off, as a fraction (workload/uncertainty.hpp): that of the least known.
double uncertainty_of(const std::vector<const topology::AcceleratorKind*>& kinds,
                      const topology::Calibration& calibration);
// In words, where the rate of a block format is only that of its width: a default of its class.
std::optional<std::string> assumed_rate(const topology::AcceleratorKind& kind,
                                        topology::Precision precision);

// What is allowed and yet worth a line on stderr: a sequence longer than the model was made for
// ("warning: ..."), and calibration used for sizes that nobody measured ("note: ...", one line per
// entry).
std::vector<std::string> notes_of(const emulator::Plan& plan, const topology::Cluster& cluster,
                                  const topology::Calibration& calibration);
void print_notes(const emulator::Plan& plan, const topology::Cluster& cluster,
                 const topology::Calibration& calibration);

// The defaults with a file laid over them; "": the defaults.
Result<topology::Calibration> calibration_from(const std::string& path);

// Kinds of accelerators under the ranks of a plan, each once, in the order of the ranks.
std::vector<const topology::AcceleratorKind*> kinds_of(const emulator::Plan& plan,
                                                       const topology::Cluster& cluster);

}  // namespace railwright::coordinator
