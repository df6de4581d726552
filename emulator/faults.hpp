// faults.yaml: what goes wrong, when. The same file serves one step, control tests and days of
// goodput; a step honours the events that it can and refuses the others by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::emulator {

enum class FaultKind : std::uint8_t { slow, degraded, down, flap, dead };

struct Distribution {  // of repair times: {exponential: 2 h} or {fixed: 30 min}
  std::string family;
  Seconds mean;
  bool operator==(const Distribution&) const = default;
};

struct Fault {
  std::string target;  // vertex, link "a->b", node or link class, as named by `show`
  FaultKind kind = FaultKind::degraded;
  std::optional<Seconds> at;        // from the start; else `rate`
  std::optional<double> per_year;   // rate of a Poisson process per target
  double factor = 1;                // degraded: capacity x factor; slow: speed x factor; (0, 1]
  std::optional<Seconds> duration;  // absent: stays
  std::optional<Distribution> repair;
  std::string correlated_with;  // name of another target that fails at the same time
  Place place;
  bool operator==(const Fault&) const = default;
};

struct Faults {
  std::vector<Fault> events;
  bool operator==(const Faults&) const = default;
};

// Targets are checked against the cluster: an unknown name is an error with the closest ones.
Result<Faults> parse_faults(std::string_view text, const std::string& file,
                            const topology::Cluster& cluster);
Result<Faults> load_faults(const std::string& path, const topology::Cluster& cluster);
std::string canonical_json(const Faults& faults);

// What a step can honour today: links degraded and accelerators slow from a fixed time on.
// Errors name the events that it cannot. Nothing is left with less than a millionth of its speed.
struct LinkDegradation {
  topology::LinkId link;
  Instant from;
  std::optional<Instant> until;
  double factor = 1;
};
struct Slowdown {
  topology::AcceleratorId accelerator;
  double factor = 1;  // speed, (0, 1]
};
struct StepFaults {
  std::vector<LinkDegradation> links;
  std::vector<Slowdown> accelerators;
};
Result<StepFaults> step_faults(const Faults& faults, const topology::Cluster& cluster);

// What to set a link's capacity to (x its effective one) and when. Ascending by time, then link;
// where several degradations meet, their factors multiply.
struct CapacityChange {
  Instant at;
  topology::LinkId link;
  double factor = 1;
};
std::vector<CapacityChange> capacity_changes(std::vector<LinkDegradation> degradations);

}  // namespace railwright::emulator
