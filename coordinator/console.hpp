// What the commands share: exit statuses, errors, JSON, progress. Data goes to stdout, progress and
// errors to stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "topology/result.hpp"
#include "topology/units.hpp"

namespace railwright::coordinator {

using Json = nlohmann::ordered_json;

enum ExitStatus : int {
  exit_ok = 0,
  exit_failed = 1,      // the run failed or a verdict is FAIL
  exit_usage = 2,       // usage or invalid input
  exit_infeasible = 3,  // nothing fits
  exit_peer_lost = 4,   // a worker was lost
};

// A command adds its options to a subcommand and sets `run` when it was chosen.
struct CommandLine {
  CLI::App app{"Plan, emulate and run distributed training on described clusters."};
  std::function<int()> run;
};

// One file each in commands/.
void add_topology_command(CommandLine& line);
void add_collective_command(CommandLine& line);
void add_plan_command(CommandLine& line);
void add_emulate_command(CommandLine& line);
void add_run_command(CommandLine& line);
void add_doctor_command(CommandLine& line);
void add_validate_command(CommandLine& line);
void add_calibrate_command(CommandLine& line);

int report(const Errors& errors);  // to stderr; returns exit_usage
int report_usage(const std::string& message, const std::string& hint = {});
void print_json(const Json& document);  // one document on stdout

// Seconds since it was made, and the process's peak memory: the wall_s and peak_rss_bytes keys.
class Stopwatch {
 public:
  double wall_s() const;
  static std::int64_t peak_rss_bytes();

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

CLI::Validator a_path();  // of an option that names a file to write: not empty

// A bar on stderr, on a terminal only; call with 0..1.
std::function<void(double)> progress_bar(std::string label);

// Columns padded to their widest cell; numbers flush right. The first row is the header.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace railwright::coordinator
