// The commands of railwright-worker: each adds its options and says what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>

#include "worker/world.hpp"

namespace railwright::worker {

struct CommandLine {
  CLI::App app{"Execute plans and measure collectives on real ranks, started by mpirun or srun."};
  std::function<int(const World&)> run;  // collective; returns the exit status
  Seconds patience = seconds(60);        // of the world that it runs in
};

void add_run_command(CommandLine& line);
void add_bench_command(CommandLine& line);
void add_probe_command(CommandLine& line);
void add_kernels_command(CommandLine& line);

// How long the ranks wait for each other where nothing is moved: as for a message, but ranks need
// not have read their files at the same time.
inline Seconds setup_patience(Seconds timeout) { return std::max(timeout, seconds(10)); }

// Finite seconds from `low` (itself too when `with_low`) to 1e9, which every clock can add: CLI11's
// own checks let nan and inf pass.
CLI::Validator seconds_above(double low, bool with_low);

// A quantity or name as CLI11 wants to check it: empty when `parse` takes the text.
template <class Parse>
CLI::Validator checked_by(Parse parse, const std::string& name) {
  return CLI::Validator(
      [parse](std::string& text) {
        const auto value = parse(text);
        return value ? std::string() : value.error().message + "; " + value.error().hint;
      },
      name);
}

}  // namespace railwright::worker
