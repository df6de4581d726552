#include <memory>

#include "topology/quantity.hpp"
#include "worker/bench/bench.hpp"
#include "worker/commands.hpp"

namespace railwright::worker {
namespace {

// As typed; the checks of the options have accepted every field.
struct Words {
  std::string begin = "8", end = "256M", type = "float", operation = "all_reduce",
              algorithm = "auto", compare, step, sum = "sum", buffers = "shared";
  int check = 1, blocking = 0;
  std::optional<int> iterations;
  double timeout_s = 60;
};

BenchOptions understood(const Words& words, BenchOptions options) {
  options.begin = *parse_message_size(words.begin);
  options.end = *parse_message_size(words.end);
  options.type = *parse_data_type(words.type);
  options.operation = *workload::parse_operation(words.operation);
  if (words.algorithm != "auto") options.algorithm = *collectives::parse_algorithm(words.algorithm);
  options.compare_mpi = words.compare == "mpi";
  options.private_buffers = words.buffers == "private";
  options.check = words.check != 0;
  options.blocking = words.blocking != 0;
  if (!words.step.empty()) options.step = *parse_message_size(words.step);
  // An interval needs more samples than a median.
  options.iterations = words.iterations.value_or(options.compare_mpi ? 40 : 20);
  options.timeout = seconds(words.timeout_s);
  return options;
}

tl::expected<int, ConfigError> parse_choice(const std::string& text) {
  if (text == "auto") return 0;
  const auto algorithm = collectives::parse_algorithm(text);
  if (!algorithm) return tl::unexpected(algorithm.error());
  return 0;
}

void add_size_options(CLI::App& app, Words& words, BenchOptions& options) {
  const auto size = checked_by(parse_message_size, "SIZE");
  app.add_option("-b,--minbytes", words.begin, "Smallest size: 8, 4K, 1M (1024-based) or 1MB")
      ->check(size)
      ->capture_default_str();
  app.add_option("-e,--maxbytes", words.end, "Largest size")->check(size)->capture_default_str();
  app.add_option("-f,--stepfactor", options.factor, "From size to size")->capture_default_str();
  app.add_option("-i,--stepbytes", words.step, "Add so much instead of multiplying")->check(size);
  app.add_option("-d,--datatype", words.type, "float, half or bfloat16")
      ->check(checked_by(parse_data_type, "TYPE"))
      ->capture_default_str();
  app.add_option("--op", words.operation,
                 "all_reduce, reduce_scatter, all_gather, broadcast, reduce, all_to_all or send")
      ->check(checked_by(workload::parse_operation, "OP"))
      ->capture_default_str();
  app.add_option("-o,--redop", words.sum, "What reductions do")
      ->check(CLI::IsMember({"sum"}))
      ->capture_default_str();
  app.add_option("-r,--root", options.root, "Of broadcast and reduce")->capture_default_str();
}

void add_engine_options(CLI::App& app, Words& words, BenchOptions& options) {
  app.add_option("--backend", options.backend,
                 "p2p: our schedules over MPI point-to-point; shm: memory that ranks of one "
                 "machine share; hierarchical: shm inside a machine, p2p across; mpi: MPI's own "
                 "collectives; nccl: NCCL's, on a GPU per rank")
      ->check(CLI::IsMember(engine_names()))
      ->capture_default_str();
  app.add_option("--algorithm", words.algorithm,
                 "auto, ring, chain, binomial_tree, double_tree, recursive_doubling, "
                 "halving_doubling, swing, bine, bruck, pat, hierarchical, pairwise, direct "
                 "or one_shot; for p2p and hierarchical")
      ->check(checked_by(parse_choice, "ALGORITHM"))
      ->capture_default_str();
  app.add_option("--ranks-per-node", options.ranks_per_node,
                 "So many neighbours count as one machine, to try the way across machines on one; "
                 "0: as they are")
      ->capture_default_str();
  app.add_option("--buffers", words.buffers, "shared: from the worker's shared memory; private")
      ->check(CLI::IsMember({"shared", "private"}))
      ->capture_default_str();
}

// Flags that nccl-tests needs where one process has several ranks: here mpirun starts them all.
void add_one_rank_options(CLI::App& app) {
  static const auto one = CLI::Validator(
      [](std::string& text) {
        return text == "1" ? std::string() : "each process is one rank: mpirun -n starts more";
      },
      "1");
  for (const char* name : {"-t,--nthreads", "-g,--ngpus"})
    app.add_option_function<int>(
           name, [](int) {}, "1: as of nccl-tests")
        ->check(one);
}

void add_run_options(CLI::App& app, Words& words, BenchOptions& options) {
  app.add_option("-n,--iters", words.iterations, "Timed iterations [20; 40 with --compare]");
  app.add_option("-w,--warmup_iters", options.warmup, "Iterations before")->capture_default_str();
  app.add_option("-m,--agg_iters", options.aggregated,
                 "Calls per iteration, one after the other; the time is that of one")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("-z,--blocking", words.blocking,
                 "1: a barrier before each of these calls, 0: none")
      ->check(CLI::Range(0, 1))
      ->capture_default_str();
  app.add_option("-c,--check", words.check, "1: check the last result of each size, 0: do not")
      ->check(CLI::Range(0, 1))
      ->capture_default_str();
  app.add_option("--compare", words.compare, "mpi: time MPI's collective in turn with ours")
      ->check(CLI::IsMember({"mpi"}));
  app.add_option("--cluster", options.cluster,
                 "Cluster file or name: choose algorithms for it, print expected time and bound");
  app.add_option("-J,--json", options.json_path, "Write the results to this file, SI units");
  app.add_option("--timeout", words.timeout_s, "Seconds after which a silent peer is lost")
      ->check(seconds_above(0, false))
      ->capture_default_str();
}

}  // namespace

void add_bench_command(CommandLine& line) {
  auto words = std::make_shared<Words>();
  auto options = std::make_shared<BenchOptions>();
  CLI::App* app = line.app.add_subcommand("bench", "Print the nccl-tests table for these ranks");
  add_size_options(*app, *words, *options);
  add_engine_options(*app, *words, *options);
  add_run_options(*app, *words, *options);
  add_one_rank_options(*app);
  app->footer("Example: mpirun -n 4 railwright-worker bench -b 8 -e 64M -f 2 --compare mpi");
  app->callback([=, &line] {
    if (options->backend == "mpi" && !words->compare.empty())
      throw CLI::ValidationError("--compare", "compares ours with mpi; leave --backend mpi out");
    line.patience = setup_patience(seconds(words->timeout_s));
    line.run = [=](const World& world) { return bench(world, understood(*words, *options)); };
  });
}

}  // namespace railwright::worker
