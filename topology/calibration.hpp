// Measured constants: how much of the data sheet real software reaches.
//
// A constant belongs to an accelerator, a link kind, a network, a framework or a library@version,
// never to a model, a source or a row. Bounds use raw line rates, emulation the calibrated ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/graph.hpp"
#include "topology/spec.hpp"

namespace railwright::topology {

// One fitted value. Parameters known today (units):
//   accelerator: launch_floor [s], hbm_half_size [B]; gemm_, attention_, hbm_efficiency,
//                gemm_half_depth, sustained_rate, compute_, communication_interference [1]
//   link kind:   link_efficiency [1]
//   library:     software_latency [s] per step of a collective
//   framework:   host_launch [s] per kernel, host_exposed [1], vector_traffic [1],
//                shard_latency [s]
struct CalibrationEntry {
  std::string subject;  // "h100-sxm5-80gb", "nvlink-4", "library:nccl"; "*" = any of that sort
  std::string parameter;
  std::string unit;
  double value = 0;
  double standard_error = 0;
  int n = 0;                             // measurements behind the value; 0 = an assumption
  double valid_low = 0, valid_high = 0;  // of the message or problem size; 0,0 = any
  std::string source;
  bool operator==(const CalibrationEntry&) const = default;
};

struct Calibration {
  std::vector<CalibrationEntry> entries;
  // The entry of the subject, else that of "*", else nothing.
  const CalibrationEntry* find(std::string_view subject, std::string_view parameter) const;
  double value_or(std::string_view subject, std::string_view parameter, double fallback) const;
  bool operator==(const Calibration&) const = default;
};

Result<Calibration> parse_calibration(std::string_view text, const std::string& file);
std::string to_json(const Calibration& calibration);
// data/calibration.json, compiled into the library.
const Calibration& default_calibration();

// Line rate times link_efficiency of the class's kind.
Bandwidth effective_capacity(const Graph& graph, LinkId link, const Calibration& calibration);

}  // namespace railwright::topology
