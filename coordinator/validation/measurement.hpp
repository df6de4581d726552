// Measured collectives as people publish them: one row is one message size of one run. The columns
// are those of docs/validate.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"
#include "workload/program.hpp"

namespace railwright::coordinator {

struct Measurement {
  std::string id, group;  // group: where it comes from, for reports only
  workload::Operation operation = workload::Operation::all_reduce;
  std::string library;  // as the source says it: "NCCL 2.21.5", "rccl-tests a7809b3", ""
  std::string accelerator;
  int ranks = 2, nodes = 1, per_node = 2;
  std::optional<Bandwidth> nic;  // per accelerator, one direction
  std::string interconnect;      // in the words of the source
  Bytes size;                    // the whole vector
  Seconds time;
  bool operator==(const Measurement&) const = default;
};

// What the header of a table of measurements says it is.
enum class MeasurementKind { collectives, training, neither };
MeasurementKind kind_of_measurements(std::string_view text);

// A table with the columns of docs/validate.md; all errors at once, with their lines. What has no
// operation of ours or no time is an error, not a row to skip.
Result<std::vector<Measurement>> parse_measurements(std::string_view text, const std::string& file);

// Compiled in: published facts, each with its source.
inline constexpr const char* own_measurements_name = "data/measurements/collectives.csv";
inline constexpr const char* own_training_steps_name = "data/measurements/training.csv";
std::string_view own_measurements();
std::string_view own_training_steps();

}  // namespace railwright::coordinator
