// How the real workers of a plan are started: mpirun with a rankfile, or srun with the arbitrary
// distribution. Pure: makes the command and the files it needs, starts nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/launch/process.hpp"
#include "emulator/plan.hpp"

namespace railwright::coordinator {

enum class Launcher : std::uint8_t { mpirun, srun };

struct LaunchSettings {
  Launcher launcher = Launcher::mpirun;
  std::string launcher_path, worker_path;
  std::vector<std::string> worker_arguments;  // after "run"
  std::string placement_path;                 // where the rankfile or host file will be written
  unsigned cores = 1;                         // of this machine
  bool as_root = false;
};

struct Launch {
  ProcessCommand command;
  std::string placement;  // text of the rankfile or host file; empty: not needed
};

// Host of each rank, in rank order; empty when the cluster names no hosts or only this machine's.
std::vector<std::string> hosts_of_ranks(const emulator::Plan& plan,
                                        const topology::Cluster& cluster,
                                        const std::string& own_name);

// "rank 3=node0 slot=3": ranks of one host take its slots in order.
std::string rankfile(const std::vector<std::string>& hosts);
// One host per line, as SLURM_HOSTFILE wants it.
std::string slurm_hostfile(const std::vector<std::string>& hosts);

// The rank that was lost by the words of mpirun, srun or the workers; -1: they name none.
int lost_rank(std::string_view words);

Launch make_launch(std::int64_t ranks, const std::vector<std::string>& hosts,
                   const LaunchSettings& settings);

}  // namespace railwright::coordinator
