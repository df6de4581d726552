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

class BlameBuilder {
 public:
  void add(const std::string& cause, Picoseconds time);
  // Splits `time` over causes in proportion to `parts`, exactly (largest remainder, ties by order).
  void add_split(const std::vector<std::pair<std::string, Seconds>>& parts, Picoseconds time);
  Blame build() const;
  Picoseconds total() const;

 private:
  std::map<std::string, std::int64_t> picoseconds_;
};

}  // namespace railwright::emulator
