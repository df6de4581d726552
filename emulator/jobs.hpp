// Several jobs on one fabric, each on accelerators of its own: what they take from each other.
#pragma once

#include <string>
#include <vector>

#include "emulator/plan.hpp"
#include "emulator/step.hpp"

namespace railwright::emulator {

struct Job {
  std::string name;  // for errors and for whom to blame
  Plan plan;         // of this cluster
};

// Time that a job loses to another one.
struct Toll {
  std::size_t job = 0;    // the other one
  std::string cause;      // "link:<class>" of the blame
  topology::LinkId link;  // of that class, where most of it is lost
  Picoseconds time;
};

struct JobResult {
  StepResult step;          // beside the others
  Picoseconds alone;        // the same step by itself
  std::vector<Toll> tolls;  // greatest first; part of the blame of its links
};

// One step of each job, all beginning together from a cold start; who ends early begins again until
// the last has ended, so that everybody has neighbours all the time. Jobs that share no link with
// others take what they take alone, to the picosecond; those that do are run rank by rank.
//
// A job's tolls split what its links cost more than alone, class by class, over the jobs that load
// the links on its critical path, in proportion to the bytes per second that they put on them; all
// together are no more than what it loses.
// Fails when two jobs use the same accelerator (names its node), and as emulate_step does.
Result<std::vector<JobResult>> emulate_jobs(const topology::Cluster& cluster,
                                            const std::vector<Job>& jobs,
                                            const topology::Calibration& calibration,
                                            const StepOptions& options = {});

}  // namespace railwright::emulator
