// plan.json: one plan, two executions. The emulator and the workers read the same file.
//
// A plan stands by itself: it holds the canonical cluster and model, with the SHA-256 of each and
// of the calibration, so that "a plan of another cluster" is noticed. docs/plan.md is its page.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/collectives.hpp"
#include "emulator/blame.hpp"
#include "emulator/faults.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::emulator {

inline constexpr int plan_schema_version = 1;

// A stretch of places `stride` apart: a dimension of a torus.
struct Axis {
  std::int64_t extent = 1, stride = 1;
  auto operator<=>(const Axis&) const = default;
};
// The position-th place when the first axis is gone along first, then the next one; without axes
// the position itself.
std::int64_t along_axes(std::int64_t position, const std::vector<Axis>& axes);

// rank -> accelerator: first + sum of coordinate x stride over the dimensions, that sum counted
// along `axes` where there are some, but for the exceptions.
struct Placement {
  workload::RankOrder order = workload::default_order;  // how ranks are numbered
  std::array<std::int64_t, 5> strides{};                // accelerator stride per entry of `order`
  struct Exception {
    std::int64_t rank = 0;
    int accelerator = 0;
    bool operator==(const Exception&) const = default;
  };
  std::vector<Axis> axes;              // of a torus, in another order than its own
  std::vector<Exception> exceptions;   // ascending by rank
  std::int64_t first_accelerator = 0;  // of rank 0: before it others may run
  bool operator==(const Placement&) const = default;
};
// Rank r on accelerator first + r.
Placement identity_placement(const workload::Degrees& degrees,
                             const workload::RankOrder& order = workload::default_order,
                             std::int64_t first_accelerator = 0);
// Whether it is that, exceptions and axes aside.
bool counts_up(const Placement& placement, const workload::Degrees& degrees);
topology::AcceleratorId accelerator_of(std::int64_t rank, const Placement& placement,
                                       const workload::Degrees& degrees);

inline constexpr Bytes no_upper_size{UINT64_MAX};  // ScheduleChoice::high of the last range

// Messages of `low` <= size < `high` bytes of this operation in this kind of group.
struct ScheduleChoice {
  workload::Dimension group = workload::Dimension::dp;
  workload::Operation operation = workload::Operation::all_reduce;
  Bytes low, high;
  collectives::Schedule schedule;
  bool operator==(const ScheduleChoice&) const = default;
};

struct Prediction {
  Seconds step_time;
  double mfu = 0;  // causal model FLOPs / (step x peak x accelerators)
  double tokens_per_s_per_accelerator = 0;
  Bytes peak_memory;
  Blame blame;
  bool operator==(const Prediction&) const = default;
};

struct Plan {
  std::string tool_version;
  topology::ClusterSpec cluster;
  workload::Training training;
  workload::Degrees degrees;
  Placement placement;
  std::vector<ScheduleChoice> schedules;
  std::vector<std::int64_t> layers_per_stage;
  std::string calibration_sha256, faults_sha256;  // of the prediction; faults: "" = none
  Prediction prediction;
  bool operator==(const Plan&) const = default;
};

std::string to_json(const Plan& plan);
// Unknown keys are errors, except those that start with "x-"; digests must match their content.
Result<Plan> parse_plan(std::string_view text, const std::string& file);
Result<Plan> load_plan(const std::string& path);

// Launchers fill nodes in the order of the ranks: why none can start the plan on real machines, or
// nothing. `path`: of the plan, for the message.
std::optional<ConfigError> why_not_launched(const Plan& plan, const std::string& path = {});
// Whole or not at all: written beside the target, then renamed. A device or a pipe is written to.
Result<void> save_plan(const Plan& plan, const std::string& path);
// Lower-case hexadecimal SHA-256.
std::string sha256(std::string_view bytes);

// Degrees, placement and schedules for a group of settings, without predictions: what the planner
// fills and `emulate --parallel` starts from. Fails with the violated rule, or when the cluster has
// too few accelerators.
Result<Plan> make_plan(const topology::Cluster& cluster, const workload::Training& training,
                       const workload::Degrees& degrees, const topology::Calibration& calibration,
                       std::int64_t first_accelerator = 0);
// The schedule for an op of this plan; the ring when no choice covers it.
collectives::Schedule schedule_of(const Plan& plan, workload::Dimension group,
                                  workload::Operation operation, Bytes size);
// Ranks of `rank`'s group along `group`, on their accelerators.
std::vector<topology::AcceleratorId> members_of(const Plan& plan, workload::Dimension group,
                                                std::int64_t rank);

}  // namespace railwright::emulator
