// Where the time of a step went: every picosecond of the critical path has one cause.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "topology/units.hpp"

namespace railwright::emulator {

// Causes, fixed: tensor_peak, tensor_inefficiency, hbm, launch, host, link:<class>, link_latency,
// software_latency, interference, pipeline_bubble, straggler, reconfiguration, recovery, other.
// Entries are sorted by size, then name; causes that took no time are left out; the picoseconds add
// up to the step exactly.
struct BlameEntry {
  std::string cause;
  Picoseconds time;
  bool operator==(const BlameEntry&) const = default;
};
using Blame = std::vector<BlameEntry>;

// What the step would take with a tenth more of one thing, all else (the plan too) being equal.
inline constexpr double sensitivity_change = 0.1;
struct Sensitivity {
  std::string what;  // "tensor" (FLOP/s), "hbm" (bandwidth), "link:<class>" (capacity)
  Picoseconds step_time;
  bool operator==(const Sensitivity&) const = default;
};

// Causes in proportion.
using BlameParts = std::vector<std::pair<std::string, Seconds>>;
// `time` in proportion to `parts`, one after another, exactly (largest remainder, ties by order).
std::vector<Picoseconds> split(const BlameParts& parts, Picoseconds time);

class BlameBuilder {
 public:
  void add(const std::string& cause, Picoseconds time);
  void add_split(const BlameParts& parts, Picoseconds time);
  Blame build() const;
  Picoseconds total() const;

 private:
  std::map<std::string, std::int64_t> picoseconds_;
};

}  // namespace railwright::emulator
