// One collective in virtual time.
#pragma once

#include <cstdint>
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
};

struct LinkLoad {
  topology::LinkId link;
  double bytes = 0;
  double utilization = 0;  // of the effective capacity over the whole run
};

struct CollectiveResult {
  Picoseconds time;
  topology::LinkId limiting_link;   // set the rate for the longest time; -1 when none did
  std::string limiting_link_class;  // "" when latency alone counts
  std::vector<LinkLoad> links;      // busiest first, at most 64
  std::int64_t events = 0;
  bool stepwise = false;  // which detail was used
};

CollectiveResult emulate_collective(const CollectiveRun& run, const topology::Router& router,
                                    const topology::Calibration& calibration);

}  // namespace railwright::emulator
