// Sends with a given order among them, put on links as early as these are free. Internal to the
// synthesis.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/synthesis/fabric.hpp"

namespace railwright::collectives {

struct Job {
  std::vector<int> way;  // links
  double bytes = 0;
  std::int64_t priority = 0;                      // the lower first
  std::vector<int> successors;                    // jobs that wait for its arrival
  int waits = 0;                                  // for so many arrivals
  std::int64_t start = 0, left = 0, arrival = 0;  // ps, filled in
};

struct SendTiming {
  double software_latency = 0;    // s
  bool latency_occupies = false;  // links stay busy while the latency passes
};

// Fills in the times; the last arrival.
std::int64_t schedule_jobs(const Fabric& fabric, SendTiming timing, std::vector<Job>& jobs);

}  // namespace railwright::collectives
