// The `railwright-worker` command, started once per rank by mpirun or srun.
#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

#include "topology/quantity.hpp"
#include "topology/version.hpp"
#include "worker/await.hpp"
#include "worker/commands.hpp"

namespace {

using namespace railwright;
using namespace railwright::worker;

// Before MPI_Init only the launcher's environment says which rank this is; one rank speaks.
bool speaks() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* rank = std::getenv(name)) return std::string(rank) == "0";
  return true;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

// Empty when `word` is a command or an option. CLI11 would only say that a command is required.
std::string unknown_command(const CLI::App& app, const std::string& word) {
  const std::vector<std::string> names = command_names(app);
  if (word.starts_with('-') || std::count(names.begin(), names.end(), word) > 0) return {};
  return fmt::format("error: {}; write one of {}\n",
                     word.empty() ? "no command" : "unknown command '" + word + "'",
                     fmt::join(names, ", "));
}

int report(const CLI::App& app, const CLI::ParseError& error) {
  if (!speaks()) return error.get_exit_code() == 0 ? exit_ok : exit_usage;
  // CLI11 numbers its errors from 100; users and mpirun expect 2.
  return app.exit(error) == 0 ? exit_ok : exit_usage;
}

int run_command(const CommandLine& line) {
  Watch watch;
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  if (provided < MPI_THREAD_FUNNELED)
    throw std::runtime_error("this MPI was built without threads (MPI_THREAD_FUNNELED)");
  World world = join_world(line.patience);
  watch.observe(world);
  const int status = line.run(world);
  watch.leave(status);
  const Watchdog watchdog(world, "MPI_Finalize");
  MPI_Comm_free(&world.node);
  MPI_Finalize();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine line;
  line.app.name("railwright-worker");
  line.app.require_subcommand(1);
  line.app.set_version_flag("--version", std::string("railwright-worker ") + tool_version);
  add_run_command(line);
  add_bench_command(line);
  add_probe_command(line);
  add_kernels_command(line);
  line.app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("error: ") + error.what() + "; --help lists what can be written\n";
  });
  const std::string unknown = unknown_command(line.app, argc < 2 ? "" : argv[1]);
  if (!unknown.empty()) {
    if (speaks()) std::cerr << unknown;
    return exit_usage;
  }
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report(line.app, error);
  }
  try {
    return run_command(line);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    MPI_Abort(MPI_COMM_WORLD, exit_failed);
    return exit_failed;
  }
}
