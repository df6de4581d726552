#include "coordinator/launch/launch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <regex>

namespace railwright::coordinator {

namespace {

// "node0:8,node1:8" in the order of first use: mpirun maps only onto hosts it was given.
std::string host_list(const std::vector<std::string>& hosts) {
  std::vector<std::pair<std::string, int>> slots;
  for (const std::string& host : hosts) {
    const auto known = std::find_if(slots.begin(), slots.end(),
                                    [&](const auto& entry) { return entry.first == host; });
    if (known == slots.end())
      slots.emplace_back(host, 1);
    else
      ++known->second;
  }
  std::string list;
  for (const auto& [host, count] : slots)
    list += fmt::format("{}{}:{}", list.empty() ? "" : ",", host, count);
  return list;
}

Launch with_mpirun(std::int64_t ranks, const std::vector<std::string>& hosts,
                   const LaunchSettings& settings) {
  Launch launch;
  auto& arguments = launch.command.arguments;
  arguments = {settings.launcher_path, "-n", std::to_string(ranks)};
  if (settings.as_root) arguments.push_back("--allow-run-as-root");
  if (!hosts.empty()) {
    launch.placement = rankfile(hosts);
    arguments.insert(arguments.end(),
                     {"--host", host_list(hosts), "--rankfile", settings.placement_path});
  } else if (ranks > settings.cores) {
    // More ranks than cores: bound ranks would wait for each other's time slices.
    arguments.insert(arguments.end(), {"--oversubscribe", "--bind-to", "none"});
  }
  return launch;
}

Launch with_srun(std::int64_t ranks, const std::vector<std::string>& hosts,
                 const LaunchSettings& settings) {
  Launch launch;
  auto& arguments = launch.command.arguments;
  arguments = {settings.launcher_path, "--ntasks=" + std::to_string(ranks), "--mpi=pmix",
               "--kill-on-bad-exit=1"};
  if (hosts.empty()) return launch;
  launch.placement = slurm_hostfile(hosts);
  launch.command.environment = {{"SLURM_HOSTFILE", settings.placement_path}};
  arguments.push_back("--distribution=arbitrary");
  return launch;
}

bool is_this_machine(const std::string& host, const std::string& own_name) {
  return host == "localhost" || host == "127.0.0.1" || host == own_name;
}

}  // namespace

std::vector<std::string> hosts_of_ranks(const emulator::Plan& plan,
                                        const topology::Cluster& cluster,
                                        const std::string& own_name) {
  std::vector<std::string> hosts;
  bool elsewhere = false;
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    hosts.push_back(cluster.host_of(emulator::accelerator_of(rank, plan.placement, plan.degrees)));
    if (hosts.back().empty()) return {};
    elsewhere = elsewhere || !is_this_machine(hosts.back(), own_name);
  }
  return elsewhere ? hosts : std::vector<std::string>{};
}

std::string rankfile(const std::vector<std::string>& hosts) {
  std::map<std::string, int> taken;
  std::string text;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank)
    text += fmt::format("rank {}={} slot={}\n", rank, hosts[rank], taken[hosts[rank]]++);
  return text;
}

std::string slurm_hostfile(const std::vector<std::string>& hosts) {
  std::string text;
  for (const std::string& host : hosts) text += host + "\n";
  return text;
}

namespace {

// The number that the first match ends in; -1: none.
int first_named(std::string_view words, const char* pattern) {
  std::match_results<std::string_view::const_iterator> found;
  const bool is_there = std::regex_search(words.begin(), words.end(), found, std::regex(pattern));
  return is_there ? std::stoi(found[1].str()) : -1;
}

}  // namespace

// A launcher saw a process die, and a peer that waited in vain found out for whom. A connection
// that failed may only be that of a process that was being taken down.
int lost_rank(std::string_view words) {
  for (const char* pattern : {"process rank (\\d{1,9}) with PID [^\\n]* exited on signal",
                              "srun: error: [^\\n:]*: task (\\d{1,9}): (?!Exited)",
                              "(?:^|\\n)rank (\\d{1,9}) on \\S+ lost: no answer",
                              "(?:^|\\n)rank (\\d{1,9}) on \\S+ lost:"})
    if (const int rank = first_named(words, pattern); rank >= 0) return rank;
  return -1;
}

Launch make_launch(std::int64_t ranks, const std::vector<std::string>& hosts,
                   const LaunchSettings& settings) {
  Launch launch = settings.launcher == Launcher::mpirun ? with_mpirun(ranks, hosts, settings)
                                                        : with_srun(ranks, hosts, settings);
  auto& arguments = launch.command.arguments;
  arguments.push_back(settings.worker_path);
  arguments.push_back("run");
  arguments.insert(arguments.end(), settings.worker_arguments.begin(),
                   settings.worker_arguments.end());
  return launch;
}

}  // namespace railwright::coordinator
