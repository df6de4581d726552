// `railwright run`: starts the real workers of a plan, follows them, puts measured beside
// predicted.
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <thread>

#include "coordinator/console.hpp"
#include "coordinator/launch/comparison.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/launch/programs.hpp"
#include "topology/files/writable.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  std::string plan, launcher = "auto", backend = "auto", metrics, metrics_textfile, report;
  std::map<std::string, std::string> training;  // options that the workers are given as they are
  std::int64_t ranks = 0, steps = 10;
  bool resume = false, json = false, dry_run = false;
};

constexpr const char* footer = R"(Units: times in seconds, sizes in bytes.
Measured is judged against predicted only where every rank has a core of its own.
Example:
  railwright run --plan plan.json --steps 5
  railwright run --plan plan.json --launcher srun --dry-run
Exit status: 0 ok, 1 the run failed, 2 invalid input, 4 a worker was lost.)";

void add_options(CLI::App& command, Options& options) {
  command.add_option("--plan", options.plan, "plan.json")->required();
  command.add_option("--launcher", options.launcher, "what starts the workers")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "mpirun", "srun"}));
  command.add_option("--ranks", options.ranks, "must be the plan's; for scripts that check");
  command.add_option("--backend", options.backend, "what moves the data")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "p2p", "shm", "hierarchical", "mpi", "nccl", "emulated"}));
  command.add_option("--steps", options.steps, "training steps")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  command.add_option("--metrics", options.metrics, "host:port where the workers serve /metrics");
  command.add_option("--metrics-textfile", options.metrics_textfile,
                     "write the last metrics to this file");
  command.add_option("--report", options.report,
                     "traffic: file of what the run has seen so far, every few seconds");
  command.add_flag("--json", options.json, "one JSON document on stdout");
  command.add_flag("--dry-run", options.dry_run, "print the command and its files, start nothing");
  command.footer(footer);
}

// What is only passed on; docs/training.md is its page.
constexpr std::pair<const char*, const char*> training_options[] = {
    {"--workload", "traffic: real messages, paced compute; train: a small GPT learns a text"},
    {"--text", "train: the file to learn, byte by byte"},
    {"--device", "train: who multiplies matrices: cpu, gpu or auto"},
    {"--seed", "train: of weights and of the data's order"},
    {"--learning-rate", "train: of Adam"},
    {"--global-batch", "train: sequences per step, instead of the plan's"},
    {"--checkpoint", "train: folder of checkpoints, seen by all ranks"},
    {"--checkpoint-every", "train: steps between checkpoints"},
    {"--keep", "train: so many of the newest checkpoints; 0: all"},
    {"--stop-file", "train: once this file is there, the run ends with a checkpoint"},
    {"--timeout", "seconds after which a silent worker is lost"}};

void add_training_options(CLI::App& command, Options& options) {
  for (const auto& [name, what] : training_options)
    command.add_option(name, options.training[name], what);
  command.add_flag("--resume", options.resume, "train: go on from the last checkpoint");
}

std::string own_host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

Launcher chosen_launcher(const std::string& wanted) {
  if (wanted == "srun") return Launcher::srun;
  if (wanted == "mpirun") return Launcher::mpirun;
  const bool in_slurm = std::getenv("SLURM_JOB_ID") != nullptr;
  return in_slurm && find_program("srun") ? Launcher::srun : Launcher::mpirun;
}

// An option of training that a run of traffic would leave aside.
std::optional<ConfigError> unused_option(const Options& options) {
  const auto value_of = [&](const char* name) {
    const auto found = options.training.find(name);
    return found == options.training.end() ? std::string() : found->second;
  };
  if (value_of("--workload") == "train") return std::nullopt;
  const std::string hint = "add --workload train, or leave it out";
  for (const auto& [name, what] : training_options)
    if (std::string_view(what).starts_with("train:") && !value_of(name).empty())
      return ConfigError{{}, fmt::format("{} is of training", name), hint};
  if (options.resume) return ConfigError{{}, "--resume is of training", hint};
  return std::nullopt;
}

// Looks for both programs; a missing one is an error with the package that has it.
Result<LaunchSettings> settings_of(const Options& options) {
  LaunchSettings settings;
  settings.launcher = chosen_launcher(options.launcher);
  const bool mpirun = settings.launcher == Launcher::mpirun;
  const auto launcher = find_program(mpirun ? "mpirun" : "srun");
  const auto worker = find_worker();
  Errors errors;
  if (!launcher)
    errors.push_back({{},
                      fmt::format("{} is not in PATH", mpirun ? "mpirun" : "srun"),
                      mpirun ? "install openmpi-bin" : "run inside a Slurm cluster"});
  if (!worker)
    errors.push_back({{},
                      "railwright-worker is neither beside railwright nor in PATH",
                      "build it with libopenmpi-dev installed"});
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  settings.launcher_path = *launcher;
  settings.worker_path = *worker;
  settings.cores = std::max(1u, std::thread::hardware_concurrency());
  settings.as_root = geteuid() == 0;
  return settings;
}

std::vector<std::string> worker_arguments(const Options& options, const std::string& result) {
  std::vector<std::string> arguments = {"--plan",    options.plan,
                                        "--backend", options.backend,
                                        "--steps",   std::to_string(options.steps)};
  for (const auto& [name, value] : options.training)
    if (!value.empty()) arguments.insert(arguments.end(), {name, value});
  if (options.resume) arguments.push_back("--resume");
  const bool reports = !options.report.empty();
  if (options.json || reports) arguments.insert(arguments.end(), {"--json", result});
  if (reports) arguments.insert(arguments.end(), {"--report-every", "5"});
  if (!options.metrics.empty()) arguments.insert(arguments.end(), {"--metrics", options.metrics});
  if (!options.metrics_textfile.empty())
    arguments.insert(arguments.end(), {"--metrics-textfile", options.metrics_textfile});
  return arguments;
}

std::optional<ConfigError> wrong_ranks(const Options& options, const emulator::Plan& plan) {
  const std::int64_t world = plan.degrees.world();
  if (options.ranks == 0 || options.ranks == world) return std::nullopt;
  return ConfigError{{options.plan},
                     fmt::format("--ranks {}: the plan is for {} ranks ({})", options.ranks, world,
                                 workload::to_string(plan.degrees)),
                     fmt::format("write --ranks {}, leave it out, or plan again", world)};
}

int print_dry_run(const Launch& launch, const LaunchSettings& settings, bool json) {
  if (json) {
    Json document = {{"command", launch.command.arguments}};
    if (!launch.placement.empty())
      document["placement"] = {{"path", settings.placement_path}, {"text", launch.placement}};
    print_json(document);
    return exit_ok;
  }
  std::cout << to_string(launch.command) << "\n";
  if (!launch.placement.empty())
    std::cout << "\n# " << settings.placement_path << "\n" << launch.placement;
  return exit_ok;
}

// Signals and lost peers end mpirun with these; anything else is a failed run or bad input.
int outcome_of(const ProcessEnd& end) {
  if (end.interrupted) return exit_failed;
  if (end.status == exit_peer_lost || end.status > 128) return exit_peer_lost;
  return end.status == exit_usage ? exit_usage : exit_failed;
}

int report_end(const ProcessEnd& end, const Launch& launch) {
  const int outcome = outcome_of(end);
  const char* what = end.interrupted             ? "the run was interrupted"
                     : end.stuck                 ? "the launcher hung without workers"
                     : outcome == exit_peer_lost ? "a worker was lost"
                     : outcome == exit_usage     ? "the workers refused the run"
                                                 : "the run failed";
  std::cerr << fmt::format("error: {} (status {}); started as: {}\n", what, end.status,
                           to_string(launch.command));
  return outcome;
}

int execute(const Options& options, const emulator::Plan& plan, const Launch& launch,
            const LaunchSettings& settings, const std::string& result_path) {
  if (!launch.placement.empty()) {
    const auto written = write_temporary(settings.placement_path, launch.placement);
    if (!written) return report(written.error());
  }
  ProcessCommand command = launch.command;
  command.shows_output = !options.json;
  command.workers = "railwright-worker";
  const auto end = run_process(command);
  if (!end) return report(end.error());
  if (end->status != 0 || end->interrupted) return report_end(*end, launch);
  if (!options.json) return exit_ok;  // the workers have said it in words
  std::ifstream file(result_path);
  const Json measured = Json::parse(file, nullptr, false);
  const auto document = compare(measured, plan, settings.cores);
  if (!document) {
    report(document.error());
    return exit_failed;
  }
  print_json(*document);
  return exit_ok;
}

int run(const Options& options) {
  const auto plan = emulator::load_plan(options.plan);
  if (!plan) return report(plan.error());
  if (const auto error = wrong_ranks(options, *plan)) return report({*error});
  if (const auto error = unused_option(options)) return report({*error});
  if (const auto error = emulator::why_not_launched(*plan, options.plan);
      error && options.backend != "emulated")
    return report({*error});
  const auto cluster = topology::build_cluster(plan->cluster);
  if (!cluster) return report(cluster.error());
  auto settings = settings_of(options);
  if (!settings) return report(settings.error());
  const auto folder = TemporaryFolder::make();
  if (!folder) return report(folder.error());
  const std::string result_path =
      options.report.empty() ? folder->file("result.json") : options.report;
  settings->placement_path = folder->file("placement");
  settings->worker_arguments = worker_arguments(options, result_path);
  const auto hosts = hosts_of_ranks(*plan, *cluster, own_host_name());
  // On other machines the workers look themselves, before anything moves.
  if (hosts.empty())
    if (const auto error = topology::why_not_writable(options.metrics_textfile))
      return report({*error});
  const Launch launch = make_launch(plan->degrees.world(), hosts, *settings);
  if (options.dry_run) return print_dry_run(launch, *settings, options.json);
  return execute(options, *plan, launch, *settings, result_path);
}

}  // namespace

void add_run_command(CommandLine& line) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      line.app.add_subcommand("run", "Start the real workers of a plan and compare with it");
  add_options(*command, *options);
  add_training_options(*command, *options);
  command->callback(
      [&line, options] { line.run = [options] { return coordinator::run(*options); }; });
}

}  // namespace railwright::coordinator
