// One collective in virtual time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collectives/collectives.hpp"
#include "emulator/faults.hpp"
#include "emulator/network.hpp"

namespace railwright::emulator {

enum class Detail : std::uint8_t {
  automatic,  // steps while they are few, phases beyond
  steps,      // every send on its own
  phases,     // one variable per stationary phase
};

// A flow that keeps its links busy beside the collective, from before its start to after its end.
struct BackgroundFlow {
  topology::AcceleratorId source, target;
};

struct CollectiveRun {
  collectives::Schedule schedule;
  Bytes size;
  std::vector<topology::AcceleratorId> members;  // group rank -> accelerator
  Detail detail = Detail::automatic;
  std::vector<BackgroundFlow> background;
  StepFaults faults;
  std::uint64_t element = 1;                  // bytes; chunks are whole elements, and so is `size`
  std::function<void(double)> progress = {};  // called with 0..1 while steps run
};

struct LinkLoad {
  topology::LinkId link;
  double bytes = 0;
  double utilization = 0;  // of what the link could carry over the whole run, faults included
  double busy_seconds = 0;
  double limiting_seconds = 0;  // it set the rate of a transfer, summed over transfers
  Picoseconds critical{};       // of a step: it held the critical path back for so long
};

struct CollectiveResult {
  Picoseconds time;
  topology::LinkId limiting_link;   // set the rate for the longest time; -1 when none did
  std::string limiting_link_class;  // "" when latency alone counts
  std::vector<LinkLoad> links;      // busiest first, at most 64
  std::int64_t events = 0;
  bool stepwise = false;  // which detail was used
  // By phases: what they take one after another without faults and other flows.
  std::optional<Seconds> idle;
};

// Time 0 is the start of the collective. A send is there `latency` after its last byte has left:
// links and software, as cut-through switches do it; its links are busy only while bytes move, and
// the next send of its channel may follow at once. A phase as one variable takes the slowest
// connection at every step; it equals the steps where all steps are alike (docs/emulator.md).
CollectiveResult emulate_collective(const CollectiveRun& run, const topology::Router& router,
                                    const topology::Calibration& calibration);

// The number of sends, rather too many than too few; what `automatic` decides by. Up to 1,024 ranks
// it is told from the first, middle and last step of each phase, beyond from channels alone.
std::int64_t send_estimate(const collectives::Schedule& schedule);

}  // namespace railwright::emulator
