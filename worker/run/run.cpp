#include "worker/run/run.hpp"

#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "topology/files/writable.hpp"
#include "worker/await.hpp"
#include "worker/mpi_transport.hpp"
#include "worker/train/run.hpp"

namespace railwright::worker {
namespace {

// Every rank sleeps: waiting for the exporter in an MPI barrier would keep the cores busy.
void linger(const World& world, const RunOptions& options) {
  if (options.linger.value <= 0 || options.metrics_address.empty()) return;
  if (world.first())
    std::cerr << fmt::format("serving metrics for {:.3g} s\n", options.linger.value);
  std::this_thread::sleep_for(std::chrono::duration<double>(options.linger.value));
}

// A file that cannot be written now is told of at the end.
void report_so_far(const World& world, const RunOptions& options, const Part& part,
                   const Record& record, const std::string& backend) {
  const std::string json = report_json(world, part, record, backend);
  if (world.first()) (void)write_file(options.json_path, json);
}

int walk(const World& world, const RunOptions& options, const Part& part, bool automatic,
         NodeMetrics& metrics) {
  EngineChoice choice{options.backend, options.ranks_per_node, buffer_demand(part)};
  choice.or_p2p = automatic;
  choice.throttles = options.throttles;
  choice.time_edges = true;
  for (const emulator::ScheduleChoice& planned : part.plan.schedules)
    choice.planned.push_back(planned.schedule);
  const bool looks_itself = shares_memory(options.backend) && !automatic;
  if (!looks_itself && !agree(world, why_no_memory(world, choice.buffers))) return exit_usage;
  Result<Engine> engine = Engine::make(world, choice);
  if (!engine) return exit_usage;
  const std::string backend_name = engine->backend().name();
  constexpr double between_publications = 0.25;  // seconds: no scrape comes more often
  double unpublished = 0;  // of step time, which all ranks agree on, so they publish together
  double unreported = 0;
  Walker walker(world, part, *engine, options.timeout);
  for (std::int64_t step = 0; step < options.steps; ++step) {
    walker.step();
    const bool last = step + 1 == options.steps;
    unpublished += walker.record().steps.back().value;
    unreported += walker.record().steps.back().value;
    if (options.report_every.value > 0 && unreported >= options.report_every.value) {
      walker.measure_edges();
      report_so_far(world, options, part, walker.record(), backend_name);
      unreported = 0;
    }
    if (!metrics.wanted() || !(last || step == 0 || unpublished >= between_publications)) continue;
    walker.measure_edges();
    metrics.publish(part, walker.record(), last ? "done" : "running");
    unpublished = 0;
  }
  walker.measure_edges();
  const std::string json = report_json(world, part, walker.record(), backend_name);
  if (world.first()) std::cout << report_text(json) << std::flush;
  Errors errors = metrics.write_textfile();
  if (world.first() && !options.json_path.empty())
    for (const ConfigError& error : write_file(options.json_path, json)) errors.push_back(error);
  if (!agree(world, errors)) return exit_usage;
  const std::uint64_t wrong = reduced(world, MPI_COMM_WORLD, walker.record().wrong, MPI_SUM);
  linger(world, options);
  return wrong == 0 ? exit_ok : exit_failed;
}

// One file per machine, and the report of the first rank: found out before anything runs.
Errors unwritable_outputs(const World& world, const RunOptions& options) {
  Errors errors;
  const auto look = [&](bool writes, const std::string& path) {
    const auto error = writes ? topology::why_not_writable(path) : std::nullopt;
    if (error) errors.push_back(*error);
  };
  look(world.first_of_node(), options.metrics_textfile);
  look(world.first(), options.json_path);
  return errors;
}

// Shared memory and our schedules where ranks can execute them all; MPI's own collectives where
// some reduce in switches.
std::string backend_for(const World& world, const RunOptions& options, const emulator::Plan& plan) {
  if (options.backend != "auto") return options.backend;
  for (const emulator::ScheduleChoice& choice : plan.schedules) {
    const std::string why = why_p2p_cannot(choice.schedule);
    if (why.empty()) continue;
    if (world.rank == 0) std::cerr << fmt::format("note: backend mpi, for {}\n", why);
    return "mpi";
  }
  return "hierarchical";
}

Errors why_not_real(const emulator::Plan& plan, const RunOptions& options) {
  const auto error = emulator::why_not_launched(plan, options.plan_path);
  return error && options.backend != "emulated" ? Errors{*error} : Errors{};
}

}  // namespace

int run_plan(const World& world, const RunOptions& options) {
  const Result<emulator::Plan> plan = emulator::load_plan(options.plan_path);
  if (!agree(world, plan ? Errors{} : plan.error())) return exit_usage;
  const Result<topology::Cluster> cluster = topology::build_cluster(plan->cluster);
  if (!agree(world, cluster ? Errors{} : cluster.error())) return exit_usage;
  if (!agree(world, misplacement(*plan, *cluster, world, options.plan_path))) return exit_usage;

  if (!agree(world, why_not_real(*plan, options))) return exit_usage;
  if (!agree(world, unwritable_outputs(world, options))) return exit_usage;
  if (!agree(world, why_not_throttle(options.throttles, world.size))) return exit_usage;
  if (options.workload == "train") return train::run_training(world, options, *plan, *cluster);
  const std::string backend = backend_for(world, options, *plan);
  NodeMetrics metrics(world, options, backend);
  if (!agree(world, metrics.listen())) return exit_usage;
  if (!metrics.served_at().empty())
    std::cerr << fmt::format("metrics: http://{}/metrics\n", metrics.served_at());
  if (backend == "emulated") {
    const int status = run_emulated(world, options, *plan, *cluster, metrics);
    linger(world, options);
    return status;
  }
  RunOptions chosen = options;
  chosen.backend = backend;
  const Result<Part> part = make_part(*plan, world, chosen);
  if (!agree(world, part ? Errors{} : part.error())) return exit_usage;
  return walk(world, chosen, *part, options.backend == "auto", metrics);
}

}  // namespace railwright::worker
