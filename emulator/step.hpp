// A training step in virtual time: the programs of all ranks meet the links of the cluster.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
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

// Who waits for ever, and why.
struct HungGroup {
  std::string group;  // "tp", "dp", ...; "pp" for messages too; "": an accelerator by itself
  std::string op;     // "all_reduce of 4 MiB", "send of 16 MiB", or what was computed
  int micro_batch = -1;
  std::vector<std::int64_t> ranks;        // at most 16 of `members`
  std::vector<std::string> accelerators;  // their names
  std::int64_t members = 0;
  std::int64_t groups = 1;  // as many hang alike, these ranks are one of them
  std::string why;
};

// Nothing can happen any more: what is lost, and which groups hang.
struct Standstill {
  Instant at;
  std::vector<Loss> lost;        // in force at that time
  std::vector<HungGroup> hung;   // first those that the losses hit, then those that wait for them
  std::int64_t hung_groups = 0;  // all of them; `hung` names at most 64
};

// How full a link was over a step, in equal spans from its start to its end.
struct LinkCourse {
  topology::LinkId link;
  std::vector<double> utilization;  // of its calibrated capacity
};

struct StepOptions {
  StepFaults faults;
  bool fold = true;  // run ranks that nothing tells apart once: exact, and the cost follows classes
  // Folding looks at the ranks of one period of the fabric of each kind where periods do the same,
  // else at all of them. A step is refused where these are more.
  std::int64_t most_looked_at = std::numeric_limits<std::int64_t>::max();
  // Refused, too, where the classes run more ops in all: some 20 bytes each, 40 per collective.
  std::int64_t most_instances = 100'000'000;
  // StepResult::timeline holds at most so many ranks: the one that waits least (the others wait for
  // it), then the lowest of each stage, then of the other classes.
  std::size_t timeline_ranks = 0;
  // StepResult::courses: of so many links, the first ones listed. Costs a second run.
  std::size_t course_links = 0, course_spans = 256;
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
  Blame blame;                              // adds up to step_time
  std::vector<Sensitivity> sensitivities;   // greatest gain first
  std::vector<LinkLoad> links;              // longest on the critical path first, then busiest
  std::vector<double> class_bytes;          // per link class of the graph
  std::vector<double> class_offered_bytes;  // what its used links could have carried
  std::vector<std::int64_t> class_used_links;
  std::vector<double> class_busy_seconds;
  std::vector<double> class_limiting_seconds;  // its links set the rate, summed over transfers
  std::vector<CollectiveUse> collectives;
  std::vector<Picoseconds> rank_wait;  // per rank: time spent waiting for peers
  std::int64_t events = 0;
  std::int64_t ranks = 0;
  std::int64_t classes = 0;         // of ranks that nothing tells apart; unfolded: the ranks
  std::vector<Interval> timeline;   // when asked for; by rank, then op
  std::vector<LinkCourse> courses;  // when asked for
  // The step did not end: nothing above but events, ranks and classes is there.
  std::optional<Standstill> standstill;
};

// Runs one step from a cold start. Utilization is relative to the calibrated capacities, less what
// faults take. Refuses steps whose classes run more than a hundred million op instances, and
// steps that last for weeks. Transfers whose links die move to live ways with what they have left;
// where none is left they wait for a repair, and where none comes the result is a standstill.
// Folded and unfolded steps agree within max(1e-9 relative, 2 ps x events on the critical path).
// The same inputs give the same bytes.
Result<StepResult> emulate_step(const topology::Cluster& cluster, const Plan& plan,
                                const topology::Calibration& calibration,
                                const StepOptions& options = {});

// What emulation says, in the words of a plan.
Prediction prediction_of(const StepResult& result, const Plan& plan,
                         const topology::Cluster& cluster);

}  // namespace railwright::emulator
