#include <charconv>
#include <memory>

#include "worker/commands.hpp"
#include "worker/run/run.hpp"

namespace railwright::worker {
namespace {

tl::expected<double, ConfigError> parse_speed(const std::string& text) {
  if (text == "max") return 0.0;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value > 0 && value <= 1e9)
    return value;
  return tl::unexpected(ConfigError{
      {}, "'" + text + "' is no pace", "write virtual seconds per second, as in 10, or max"});
}

struct Words {
  double timeout_s = 60, linger_s = 0, report_s = 0;
  std::string speed = "max";
  std::vector<std::string> throttles;
};

void add_training_options(CLI::App& app, RunOptions& options) {
  train::Options& training = options.training;
  app.add_option("--workload", options.workload,
                 "traffic: real messages, paced compute; train: a small GPT learns a text")
      ->check(CLI::IsMember({"traffic", "train"}))
      ->capture_default_str();
  app.add_option("--text", training.text, "train: the file to learn, byte by byte");
  app.add_option(
         "--device", training.device,
         "train: who multiplies matrices: cpu, gpu, or auto: a GPU where every rank has one")
      ->check(CLI::IsMember({"auto", "cpu", "gpu"}))
      ->capture_default_str();
  app.add_option("--seed", training.settings.seed, "train: of weights and of the data's order")
      ->capture_default_str();
  app.add_option("--learning-rate", training.settings.adam.learning_rate, "train: of Adam")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  app.add_option("--global-batch", training.settings.global_batch,
                 "train: sequences per step, instead of the plan's")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  app.add_flag("--deterministic-order", training.settings.in_order,
               "train: gradients are added in the order of the ranks: the bits of one rank");
  app.add_option("--checkpoint", training.checkpoint, "train: folder of checkpoints");
  app.add_option("--checkpoint-every", training.every,
                 "train: steps between checkpoints; without it one after the last step")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  app.add_option("--keep", training.keep, "train: so many of the newest checkpoints; 0: all")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_flag("--resume", training.resume, "train: go on from the last checkpoint of the folder");
  app.add_option("--stop-file", training.stop_file,
                 "train: once this file is there, the run ends behind its step, with a checkpoint");
}

void add_options(CLI::App& app, RunOptions& options, Words& words) {
  app.add_option("--plan", options.plan_path, "plan.json")->required();
  app.add_option("--backend", options.backend,
                 "auto; p2p: our schedules over MPI messages; shm: memory that ranks of one "
                 "machine share; hierarchical: shm inside a machine, p2p across; mpi: MPI's "
                 "collectives; nccl: NCCL's, on a GPU per rank; emulated: moves nothing")
      ->check(CLI::IsMember({"auto", "p2p", "mpi", "shm", "hierarchical", "nccl", "emulated"}))
      ->capture_default_str();
  app.add_option("--ranks-per-node", options.ranks_per_node,
                 "So many neighbours count as one machine, to try the way across machines on one; "
                 "0: as they are")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--throttle", words.throttles, "Slow a pair down on purpose, as in 0:2=50MB/s")
      ->check(checked_by(parse_throttle, "A:B=RATE"));
  app.add_option("--counters-root", options.counters_root,
                 "Where the hardware's counters are, for /metrics")
      ->capture_default_str();
  app.add_option("--steps", options.steps, "Training steps")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--metrics", options.metrics_address,
                 "host:port of /metrics, one exporter per node; port 0 takes a free one");
  app.add_option("--metrics-linger", words.linger_s, "Seconds to keep serving after the run")
      ->check(seconds_above(0, true));
  app.add_option("--metrics-textfile", options.metrics_textfile,
                 "Write the last metrics to this file, one per node");
  app.add_option("--json", options.json_path, "Write the report to this file, SI units");
  app.add_option("--report-every", words.report_s,
                 "traffic: seconds after which --json is written again, while it runs")
      ->check(seconds_above(0, false));
  app.add_option("--timeout", words.timeout_s, "Seconds after which a silent peer is lost")
      ->check(seconds_above(0, false))
      ->capture_default_str();
  app.add_option("--speed", words.speed, "emulated: virtual seconds per second, or max")
      ->check(checked_by(parse_speed, "SPEED"))
      ->capture_default_str();
  app.footer("Example: mpirun -n 4 railwright-worker run --plan plan.json --steps 5");
}

}  // namespace

void add_run_command(CommandLine& line) {
  auto options = std::make_shared<RunOptions>();
  auto words = std::make_shared<Words>();
  CLI::App* app = line.app.add_subcommand("run", "Execute a plan on these ranks");
  add_options(*app, *options, *words);
  add_training_options(*app, *options);
  app->callback([=, &line] {
    options->timeout = seconds(words->timeout_s);
    options->linger = seconds(words->linger_s);
    options->report_every = seconds(words->report_s);
    options->speed = *parse_speed(words->speed);
    for (const std::string& text : words->throttles)
      options->throttles.push_back(*parse_throttle(text));
    // A checkpoint may take some ranks much longer than others to read or write.
    const bool with_files = options->workload == "train";
    line.patience =
        with_files ? std::max(options->timeout, seconds(600)) : setup_patience(options->timeout);
    line.run = [options](const World& world) { return run_plan(world, *options); };
  });
}

}  // namespace railwright::worker
