// faults.yaml: what goes wrong, when. The same file serves one step, control tests and days of
// goodput; a step honours the events that it can and refuses the others by name.
#pragma once

#include <cstdint>
#include <memory>
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

// ---- as they happen: single links and accelerators at fixed times

struct LinkDegradation {
  topology::LinkId link;
  Instant from;
  std::optional<Instant> until = {};  // absent: stays
  double factor = 1;                  // of its capacity; 0: it carries nothing
};
struct Slowdown {
  topology::AcceleratorId accelerator;
  double factor = 1;  // of its speed; 0: it stands still
  Instant from{0};
  std::optional<Instant> until = {};
};
// Something that is gone, in the words of the file; a link of a class by its own name.
struct Loss {
  std::string target;
  Instant from;
  std::optional<Instant> until = {};
};
struct StepFaults {
  std::vector<LinkDegradation> links;
  std::vector<Slowdown> accelerators;
  std::vector<Loss> losses;
};

// What one collective honours: links degraded from a fixed time on, accelerators slow from the
// start. Errors name the events that it cannot. Nothing is left with less than a millionth of its
// speed.
Result<StepFaults> collective_faults(const Faults& faults, const topology::Cluster& cluster);

// What the steps of a run honour, which is everything. An event with a rate strikes by a Poisson
// process: each cable of a link class has one of its own (both directions fail together), any other
// target is struck as a whole. Times to repair and between events are drawn from `seed`, by a
// generator per event of the file: the same seed gives the same faults, whatever the horizon.
class FaultSequence {
 public:
  static Result<FaultSequence> make(const Faults& faults, const topology::Cluster& cluster,
                                    std::uint64_t seed);
  FaultSequence(FaultSequence&&) noexcept;
  FaultSequence& operator=(FaultSequence&&) noexcept;
  ~FaultSequence();
  // All that begins before `horizon`, counted from time 0. The cluster must be the same as ever.
  const StepFaults& until(Instant horizon, const topology::Cluster& cluster);

 private:
  struct Draws;
  FaultSequence();
  std::unique_ptr<Draws> draws_;
};

// What to set a link's capacity to (x its effective one) and when. Ascending by time, then link;
// where several degradations meet, their factors multiply. What carries nothing keeps its capacity:
// routes avoid it.
struct CapacityChange {
  Instant at;
  topology::LinkId link;
  double factor = 1;
};
std::vector<CapacityChange> capacity_changes(std::vector<LinkDegradation> degradations);

}  // namespace railwright::emulator
