// A training step in virtual time: the programs of all ranks meet the links of the cluster.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "emulator/blame.hpp"
#include "emulator/collective.hpp"
#include "emulator/plan.hpp"

namespace railwright::emulator {

// One op of one rank, as it happened.
struct Interval {
  std::int64_t rank = 0;
  int op = 0;     // index into the program of the rank's stage
  Instant ready;  // stream free and dependencies met
  Instant start;  // all members there: start - ready is the wait for peers
  Instant end;
};

// What all collectives of one kind took; expected = alone on idle links.
struct CollectiveUse {
  workload::Dimension group = workload::Dimension::tp;
  workload::Operation operation = workload::Operation::all_reduce;
  collectives::Algorithm algorithm = collectives::Algorithm::ring;
  Bytes size;
  std::int64_t count = 0;   // group instances x times
  Seconds total, expected;  // sum over instances
};

struct StepOptions {
  StepFaults faults;
  bool fold = true;  // run ranks that nothing tells apart once: exact, and the cost follows classes
  // StepResult::timeline holds at most so many ranks: the one that waits least (the others wait for
  // it), then the lowest of each stage, then of the other classes.
  std::size_t timeline_ranks = 0;
  std::size_t listed_links = 64;  // StepResult::links, at most
  // Sensitivities cost one more run each: they are there when the step took at most so many events.
  std::int64_t sensitivities_up_to = 0;
  std::function<void(double fraction)> progress;  // called now and then, 0..1
  // Called for each collective of each class of groups, when all is done, in a fixed order; `count`
  // groups took this long.
  std::function<void(const CollectiveUse&, Picoseconds duration, std::int64_t count)> on_collective;
};

struct StepResult {
  Picoseconds step_time;
  double mfu = 0;
  Blame blame;                             // adds up to step_time
  std::vector<Sensitivity> sensitivities;  // greatest gain first
  std::vector<LinkLoad> links;             // longest on the critical path first, then busiest
  std::vector<double> class_bytes;         // per link class of the graph
  std::vector<double> class_busy_seconds;
  std::vector<double> class_limiting_seconds;  // its links set the rate, summed over transfers
  std::vector<CollectiveUse> collectives;
  std::vector<Picoseconds> rank_wait;  // per rank: time spent waiting for peers
  std::int64_t events = 0;
  std::int64_t ranks = 0;
  std::int64_t classes = 0;        // of ranks that nothing tells apart; unfolded: the ranks
  std::vector<Interval> timeline;  // when asked for; by rank, then op
};

// Runs one step from a cold start. Utilization is relative to the calibrated capacities, less what
// faults take. Refuses steps whose classes run more than a hundred million op instances, and
// steps that last for weeks. Folded and unfolded steps agree within
// max(1e-9 relative, 2 ps x events on the critical path). The same inputs give the same bytes.
Result<StepResult> emulate_step(const topology::Cluster& cluster, const Plan& plan,
                                const topology::Calibration& calibration,
                                const StepOptions& options = {});

// What emulation says, in the words of a plan.
Prediction prediction_of(const StepResult& result, const Plan& plan,
                         const topology::Cluster& cluster);

}  // namespace railwright::emulator
