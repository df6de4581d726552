// `railwright doctor`: what is installed, what is missing, what each missing thing disables.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <thread>

#include "coordinator/console.hpp"
#include "coordinator/launch/programs.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::coordinator {

namespace {

struct Check {
  std::string name;
  bool ok = false;
  std::string detail;
};

Check check_program(const std::string& name, const std::optional<std::string>& path,
                    const std::string& without) {
  return {name, path.has_value(), path ? *path : "not found: " + without};
}

Check check_library(const std::string& name, const char* file, const std::string& without) {
  void* library = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return {name, false, fmt::format("no {}: {}", file, without)};
  dlclose(library);
  return {name, true, file};
}

Check check_cores() {
  const unsigned cores = std::thread::hardware_concurrency();
  return {"cores", cores >= 2,
          fmt::format("{} on this machine{}", cores,
                      cores >= 2 ? "" : ": real runs of two ranks are not judged")};
}

Check check_memory() {
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  const Bytes memory{pages * static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE))};
  const bool ok = memory >= gibibytes(2);
  return {"memory", ok,
          fmt::format("{:.1f} GiB{}", in_gibibytes(memory),
                      ok ? "" : ": clusters of a million accelerators need 2 GiB")};
}

Check check_shared_memory() {
  struct statvfs file_system {};
  if (statvfs("/dev/shm", &file_system) != 0)
    return {"/dev/shm", false, "not mounted: ranks on one host talk over TCP, which is slower"};
  const Bytes free{static_cast<std::uint64_t>(file_system.f_bavail) * file_system.f_frsize};
  const bool ok = free >= mebibytes(256);
  return {"/dev/shm", ok,
          fmt::format("{:.2f} GiB free{}", in_gibibytes(free),
                      ok ? "" : ": Open MPI's shared memory may fail with many ranks")};
}

// Everything that is compiled in must load: if not, the installation itself is broken.
Check check_core() {
  for (const auto& ready : topology::ready_clusters())
    if (const auto cluster = topology::load_cluster(ready.name); !cluster)
      return {"core", false, to_string(cluster.error().front())};
  for (const auto& ready : workload::ready_models())
    if (const auto model = workload::load_model(ready.name); !model)
      return {"core", false, to_string(model.error().front())};
  return {"core", true,
          fmt::format("{} clusters, {} models, {} accelerators and {} calibration entries load",
                      topology::ready_clusters().size(), workload::ready_models().size(),
                      topology::accelerator_catalogue().size(),
                      topology::default_calibration().entries.size())};
}

std::vector<Check> all_checks() {
  return {
      check_core(),
      check_cores(),
      check_memory(),
      check_shared_memory(),
      check_program("mpirun", find_program("mpirun"),
                    "`railwright run` cannot start workers; install openmpi-bin"),
      check_program("railwright-worker", find_worker(),
                    "`railwright run` has nothing to start; build with libopenmpi-dev installed"),
      check_program("srun", find_program("srun"),
                    "`run --launcher srun` is not available; install slurm-client on a cluster"),
      check_program("prometheus", find_program("prometheus"),
                    "metrics are served all the same; nothing here scrapes them"),
      check_program("promtool", find_program("promtool"),
                    "rules and metrics cannot be checked; install prometheus"),
      check_library("NVIDIA driver", "libcuda.so.1",
                    "no GPU runs here; plans and emulation do not "
                    "need one"),
      check_library("NCCL", "libnccl.so.2", "no collectives on NVIDIA GPUs"),
  };
}

int run(bool json) {
  const std::vector<Check> checks = all_checks();
  if (json) {
    Json list = Json::array();
    for (const Check& check : checks)
      list.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
    print_json({{"checks", list}});
  } else {
    std::vector<std::vector<std::string>> rows = {{"check", "state", "detail"}};
    for (const Check& check : checks)
      rows.push_back({check.name, check.ok ? "ok" : "missing", check.detail});
    std::cout << table(rows);
  }
  return checks.front().ok ? exit_ok : exit_failed;
}

}  // namespace

void add_doctor_command(CommandLine& line) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      line.app.add_subcommand("doctor", "Say what is installed and what is missing");
  command->add_flag("--json", *json, "one JSON document on stdout");
  command->footer(
      "Example:\n  railwright doctor\n"
      "Exit status: 0, or 1 when the installation itself is broken.");
  command->callback([&line, json] { line.run = [json] { return coordinator::run(*json); }; });
}

}  // namespace railwright::coordinator
