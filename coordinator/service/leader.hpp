// The process that leads one launch of a job: it runs the plan while it holds the lease, and says
// how it ended. It outlives a coordinator that dies, for as long as the lease lasts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace railwright::coordinator {

struct LeaderSettings {
  std::string data, job, name, token;
  int epoch = 0;
  std::int64_t first_step = 0, steps = 1;
  std::int64_t lease_ms = 60'000;
  bool emulated = false;
  std::vector<std::string> run;  // more arguments of `railwright run`
  std::string checkpoints;       // the folder of them; "": it makes none
};

int lead(const LeaderSettings& settings);

}  // namespace railwright::coordinator
