#include "worker/train/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "topology/files/writable.hpp"
#include "worker/await.hpp"
#include "worker/engine.hpp"
#include "worker/shared_clock.hpp"
#include "worker/train/manifest.hpp"

namespace railwright::worker::train {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct StepRecord {
  std::int64_t step = 0;
  double loss = 0;
  Seconds time;
};

// A folder that is not there yet is made: whether that works is known then.
std::optional<ConfigError> why_no_checkpoints(const std::string& folder) {
  if (folder.empty()) return std::nullopt;
  std::error_code failed, ignored;
  std::filesystem::create_directories(folder, failed);
  if (!std::filesystem::is_directory(folder, ignored))
    return ConfigError{{folder, 0, 0},
                       "is no folder and cannot become one: " + failed.message(),
                       "give --checkpoint a folder that all ranks can write"};
  if (access(folder.c_str(), W_OK) == 0) return std::nullopt;
  return ConfigError{{folder, 0, 0},
                     "cannot be written: " + std::string(std::strerror(errno)),
                     "give --checkpoint a folder that all ranks can write"};
}

// Everything that can be known before anything moves.
Errors wrong_options(const RunOptions& options, const emulator::Plan& plan) {
  const Options& training = options.training;
  Errors errors;
  const auto refuse = [&](bool applies, const char* what, const char* hint) {
    if (applies) errors.push_back({{}, what, hint});
  };
  refuse(training.text.empty(), "--workload train needs a text to learn", "give --text FILE");
  refuse(options.backend == "emulated", "--backend emulated computes nothing that could be learned",
         "take --backend p2p or mpi");
  refuse(shares_memory(options.backend),
         "--workload train does not keep its vectors in shared memory",
         "take --backend p2p, mpi or nccl");
  refuse(!options.metrics_address.empty() || !options.metrics_textfile.empty(),
         "--workload train exports no metrics", "leave --metrics and --metrics-textfile out");
  refuse(training.checkpoint.empty() && training.every > 0, "--checkpoint-every without a folder",
         "give --checkpoint DIR");
  refuse(training.checkpoint.empty() && training.resume, "--resume without a folder",
         "give --checkpoint DIR");
  if (const auto error = why_no_checkpoints(training.checkpoint)) errors.push_back(*error);
  for (const ConfigError& error :
       why_not_trained(plan, batch_of(plan, training.settings), options.plan_path))
    errors.push_back(error);
  return errors;
}

class Run {
 public:
  Run(const World& world, const RunOptions& options, const emulator::Plan& plan,
      const topology::Cluster& cluster, Products& products, Engine engine)
      : world_(world),
        options_(options),
        plan_(plan),
        cluster_(cluster),
        products_(products),
        timeout_(std::max({options.timeout, 3 * plan.prediction.step_time, slow_start})),
        engine_(std::move(engine)),
        exchange_(plan, engine_.transport(), engine_.backend(), timeout_),
        clock_(world.first_of) {}
  int run(const Text& text);

 private:
  // The first step takes long without being a hang.
  static constexpr Seconds slow_start = seconds(60);
  // Moments are brought together before there are too many of them.
  static constexpr std::int64_t steps_between_edges = 64;

  bool step(Trainer& trainer);
  bool save(Trainer& trainer);
  bool is_told_to_stop();
  bool train(Trainer& trainer);
  void wait_up_to(Seconds timeout);
  void print(const StepRecord& record) const;
  bool is_time_to_report();
  void write_report(Trainer& trainer);
  void measure_edges();
  Json report(Trainer& trainer) const;
  int finish(Trainer& trainer);
  [[noreturn]] void give_up_on(const PeerLost& lost);
  [[noreturn]] void end(const DeviceFailed& failed) const;

  const World& world_;
  const RunOptions& options_;
  const emulator::Plan& plan_;
  const topology::Cluster& cluster_;
  Products& products_;
  Seconds timeout_;
  Engine engine_;
  Exchange exchange_;
  SharedClock clock_;
  Clock::time_point reported_ = Clock::now();
  std::vector<StepRecord> records_;
  Seconds longest_;  // of steps but the first
  std::vector<std::string> saved_;
};

void Run::give_up_on(const PeerLost& lost) {
  const Seconds grace = std::min(seconds(5), Seconds{timeout_.value / 4});
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(grace.value));
  give_up(world_, silent_rank(engine_.transport(), lost.result, until), timeout_);
}

// The others wait for this rank in the middle of a step.
void Run::end(const DeviceFailed& failed) const {
  std::cerr << fmt::format("error: rank {} on {}: {}; look at nvidia-smi, or take --device cpu\n",
                           world_.rank, world_.hosts[world_.rank], failed.why)
            << std::flush;
  MPI_Abort(MPI_COMM_WORLD, exit_failed);
  _exit(exit_failed);
}

void Run::print(const StepRecord& record) const {
  if (!world_.first()) return;
  constexpr std::int64_t lines = 25;
  const std::int64_t done = static_cast<std::int64_t>(records_.size());
  const std::int64_t between = (options_.steps + lines - 1) / lines;
  if (done == 1) std::cout << fmt::format("{:>8} {:>12} {:>10}\n", "step", "loss", "ms");
  if (done == 1 || done % between == 0 || done == options_.steps)
    std::cout << fmt::format("{:>8} {:>12.6f} {:>10.2f}\n", record.step, record.loss,
                             record.time.value * 1e3)
              << std::flush;
}

void Run::wait_up_to(Seconds timeout) {
  timeout_ = timeout;
  exchange_.wait_up_to(timeout);
}

// False when the loss is no number any more. A peer may take three times what the plan or the run
// so far makes one expect.
bool Run::step(Trainer& trainer) {
  const Clock::time_point start = Clock::now();
  const double loss = trainer.step();
  const Seconds time = {std::chrono::duration<double>(Clock::now() - start).count()};
  records_.push_back({trainer.steps(), loss, time});
  if (records_.size() > 1) longest_ = std::max(longest_, time);
  wait_up_to(std::max({options_.timeout, 3 * plan_.prediction.step_time, 3 * longest_}));
  print(records_.back());
  if (std::isfinite(loss)) return true;
  if (world_.first())
    std::cerr << fmt::format(
        "error: the loss of step {} is no finite number; try a smaller --learning-rate\n",
        trainer.steps());
  return false;
}

// The first rank looks, so that all of them end behind the same step.
bool Run::is_told_to_stop() {
  const std::string& path = options_.training.stop_file;
  if (path.empty()) return false;
  std::error_code ignored;
  double told = world_.first() && std::filesystem::exists(path, ignored) ? 1 : 0;
  exchange_.agree_on_largest(told);
  return told > 0;
}

bool Run::save(Trainer& trainer) {
  Errors errors;
  if (!trainer.save(options_.training.checkpoint, errors)) {
    std::cerr << to_string(errors) << std::flush;
    double printed = 1;  // before anybody ends
    exchange_.agree_on_largest(printed);
    return false;
  }
  exchange_.work_together([&] {
    if (world_.first() && options_.training.keep > 0)
      keep_newest(options_.training.checkpoint, options_.training.keep);
  });
  saved_.push_back(fmt::format("step-{:08}.json", trainer.steps()));
  return true;
}

// By the clock of the rank that has waited longest, so that all report behind the same step.
bool Run::is_time_to_report() {
  if (options_.report_every.value <= 0 || options_.json_path.empty()) return false;
  double waited = std::chrono::duration<double>(Clock::now() - reported_).count();
  exchange_.agree_on_largest(waited);
  if (waited < options_.report_every.value) return false;
  reported_ = Clock::now();
  return true;
}

// So far. A file that cannot be written now is told of at the end; a slow disk is no silence.
void Run::write_report(Trainer& trainer) {
  const Json document = report(trainer);
  exchange_.work_together([&] {
    if (world_.first()) (void)write_file(options_.json_path, document.dump(2) + "\n");
  });
}

// Collective, while no messages are under way.
void Run::measure_edges() {
  if (engine_.edges() == nullptr) return;
  exchange_.settle(*engine_.edges(), clock_);
}

// Collective; empty but on rank 0.
Json Run::report(Trainer& trainer) const {
  std::vector<Seconds> times;
  for (const StepRecord& record : records_) times.push_back(record.time);
  const EdgeLog* edges = engine_.edges();
  Json all =
      judged(world_, plan_, cluster_,
             {edges ? edges->totals() : std::vector<EdgeTotal>{}, exchange_.waited()}, times);
  if (!world_.first()) return all;
  Json document = {{"workload", "train"},
                   {"ranks", world_.size},
                   {"backend", engine_.backend().name()},
                   {"schedule", engine_.backend().opaque() ? "opaque" : "planned"},
                   {"device", products_.on_gpu() ? "gpu" : "cpu"},
                   {"products", products_.name()},
                   {"oversubscribed", world_.oversubscribed},
                   {"deterministic_order", trainer.settings().in_order},
                   {"global_batch_sequences", trainer.settings().global_batch},
                   {"sequence_tokens", plan_.training.sequence}};
  document["steps"] = Json::array();
  for (const StepRecord& record : records_)
    document["steps"].push_back(
        {{"step", record.step}, {"loss", record.loss}, {"time_s", record.time.value}});
  const double step = typical_step(times).value, predicted = plan_.prediction.step_time.value;
  const auto tokens =
      static_cast<double>(trainer.settings().global_batch * plan_.training.sequence);
  document["measured"] = {
      {"step_time_s", step},
      {"tokens_per_s", tokens / step},
      {"exchange_s", exchange_.spent().value / static_cast<double>(records_.size())},
      {"rank_wait_s", all["rank_wait_s"]}};
  document["predicted"] = Json::object();
  document["ratio"] = Json::object();
  if (predicted > 0) document["predicted"]["step_time_s"] = predicted;
  if (predicted > 0) document["ratio"]["step_time_s"] = step / predicted;
  document["checkpoints"] = saved_;
  all.erase("rank_wait_s");
  document.update(all);
  return document;
}

int Run::finish(Trainer& trainer) {
  measure_edges();
  const Json document = report(trainer);
  Errors errors;
  if (world_.first()) {
    std::cout << fmt::format("step: measured {:.3f} ms",
                             1e3 * document["measured"]["step_time_s"].get<double>());
    if (document["ratio"].contains("step_time_s"))
      std::cout << fmt::format(", predicted {:.3f} ms, ratio {:.2f}",
                               1e3 * plan_.prediction.step_time.value,
                               document["ratio"]["step_time_s"].get<double>());
    std::cout << (world_.oversubscribed ? " (not judged: more ranks than cores)\n" : "\n");
    std::cout << slow_text(document);
    if (!options_.json_path.empty())
      errors = write_file(options_.json_path, document.dump(2) + "\n");
  }
  return agree(world_, errors) ? exit_ok : exit_usage;
}

bool Run::train(Trainer& trainer) {
  const Options& training = options_.training;
  for (bool last = false; !last;) {
    if (!step(trainer)) return false;
    last = std::ssize(records_) == options_.steps || is_told_to_stop();
    const bool reports = is_time_to_report();
    if (reports || trainer.steps() % steps_between_edges == 0) measure_edges();
    if (reports) write_report(trainer);
    if (training.checkpoint.empty()) continue;
    const bool due = training.every > 0 && trainer.steps() % training.every == 0;
    if ((due || last) && !save(trainer)) return false;
  }
  return true;
}

int Run::run(const Text& text) {
  const Options& training = options_.training;
  exchange_.when_lost([this](const PeerLost& lost) { give_up_on(lost); });
  try {
    exchange_.prepare();
    Trainer trainer(plan_, training.settings, text, exchange_, products_);
    if (training.resume && !agree(world_, trainer.load(training.checkpoint))) return exit_usage;
    if (training.resume && world_.first())
      std::cerr << fmt::format("resumed after step {}, {} sequences per step\n", trainer.steps(),
                               trainer.settings().global_batch);
    return train(trainer) ? finish(trainer) : exit_failed;
  } catch (const DeviceFailed& failed) {
    end(failed);
  }
}

// Collective. Null: the CPU's. With `auto` all ranks take the same way.
Result<std::unique_ptr<Products>> choose_products(const World& world, const std::string& device) {
  if (device == "cpu") return nullptr;
  auto gpu = make_gpu_products(world.node_rank, world.node_size);
  if (device == "gpu" || everybody(world, MPI_COMM_WORLD, gpu.has_value())) return gpu;
  return nullptr;
}

EngineChoice engine_choice(const RunOptions& options, const emulator::Plan& plan) {
  const bool opaque = is_opaque(options.backend);
  EngineChoice choice{opaque ? options.backend : "p2p", 0, {}};
  choice.throttles = options.throttles;
  choice.time_edges = true;
  for (const emulator::ScheduleChoice& planned : plan.schedules)
    choice.planned.push_back(planned.schedule);
  return choice;
}

}  // namespace

int run_training(const World& world, const RunOptions& options, const emulator::Plan& plan,
                 const topology::Cluster& cluster) {
  if (!agree(world, wrong_options(options, plan))) return exit_usage;
  const Result<Text> text = load_text(options.training.text, plan.training.sequence);
  if (!agree(world, text ? Errors{} : text.error())) return exit_usage;
  const auto gpu = choose_products(world, options.training.device);
  if (!agree(world, gpu ? Errors{} : gpu.error())) return exit_usage;
  Products& products = *gpu ? **gpu : cpu_products<float>();
  Result<Engine> engine = Engine::make(world, engine_choice(options, plan));
  if (!engine) return exit_usage;  // which has been told
  return Run(world, options, plan, cluster, products, std::move(*engine)).run(*text);
}

}  // namespace railwright::worker::train
