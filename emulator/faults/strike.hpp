// One event of faults.yaml strikes: what it does to which links and accelerators. Private to the
// emulator.
#pragma once

#include "emulator/faults.hpp"

namespace railwright::emulator {

struct Occurrence {
  Instant from;
  std::optional<Instant> until;
};

// Of an event at a fixed time with a fixed duration, or none. What ends after event time lasts.
Occurrence occurrence_of(const Fault& fault);
Occurrence occurrence(Seconds from, std::optional<Seconds> duration);

// Adds the event to `step`. `cable`: of the link class that is the target, this one alone is hit,
// in both directions.
void strike(const Fault& fault, const Occurrence& when, std::optional<topology::LinkId> cable,
            const topology::Cluster& cluster, StepFaults& step);

// An error when together the events leave something a speed at which nothing ends in good time.
std::optional<ConfigError> nearly_nothing_left(const Faults& faults, const StepFaults& step);

}  // namespace railwright::emulator
