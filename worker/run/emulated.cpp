#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "worker/run/run.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::ordered_json;

Json row_of(const emulator::CollectiveUse& use, int ranks) {
  return {{"group", to_string(use.group)},
          {"op", to_string(use.operation)},
          {"algorithm", to_string(use.algorithm)},
          {"bytes", use.size.count},
          {"ranks", ranks}};
}

// As the rows of a real run come.
std::vector<emulator::CollectiveUse> in_order_of_report(std::vector<emulator::CollectiveUse> uses) {
  std::stable_sort(uses.begin(), uses.end(), [](const auto& a, const auto& b) {
    const auto key = [](const emulator::CollectiveUse& use) {
      return std::tuple(to_string(use.group), to_string(use.operation), use.size);
    };
    return key(a) < key(b);
  });
  return uses;
}

Json document_of(const World& world, const RunOptions& options, const emulator::Plan& plan,
                 const emulator::StepResult& result) {
  const double time = in_seconds(result.step_time).value;
  const double planned = plan.prediction.step_time.value;
  Json document = {{"backend", "emulated"},
                   {"schedule", "planned"},
                   {"ranks", world.size},
                   {"oversubscribed", false}};
  for (std::int64_t i = 0; i < options.steps; ++i)
    document["steps"].push_back({{"step_time_s", time}});
  Json measured = {{"step_time_s", time}}, predicted = Json::object(), ratio = Json::object();
  if (planned > 0) {
    predicted["step_time_s"] = planned;
    ratio["step_time_s"] = time / planned;
  }
  for (Json* part : {&measured, &predicted, &ratio}) (*part)["collectives"] = Json::array();
  for (const emulator::CollectiveUse& use : in_order_of_report(result.collectives)) {
    const int ranks = workload::degree_of(plan.degrees, use.group);
    Json seen = row_of(use, ranks), expected = seen, compared = seen;
    seen["calls"] = options.steps * use.count;
    seen["time_s"] = use.total.value / static_cast<double>(use.count);
    seen["wait_s"] = 0.0;
    const double bandwidth =
        seen["time_s"] > 0 ? seen["bytes"].get<double>() / seen["time_s"].get<double>() : 0;
    seen["algbw_bytes_per_s"] = bandwidth;
    seen["busbw_bytes_per_s"] =
        bandwidth * collectives::bus_bandwidth_factor(use.operation, std::max(2, ranks));
    expected["time_s"] = use.expected.value / static_cast<double>(use.count);
    if (use.expected.value > 0) compared["time_s"] = use.total / use.expected;
    measured["collectives"].push_back(seen);
    predicted["collectives"].push_back(expected);
    ratio["collectives"].push_back(compared);
  }
  for (const Picoseconds wait : result.rank_wait)
    measured["rank_wait_s"].push_back(static_cast<double>(options.steps) * in_seconds(wait).value);
  document["measured"] = measured;
  document["predicted"] = predicted;
  document["ratio"] = ratio;
  document["slow_links"] = document["slow_ranks"] = Json::array();
  document["verification"] = {{"checked", 0}, {"wrong", 0}};
  return document;
}

telemetry::Snapshot snapshot_after(std::int64_t steps, const emulator::Plan& plan,
                                   const topology::Cluster& cluster,
                                   const emulator::StepResult& result, int ranks) {
  telemetry::Snapshot snapshot = snapshot_of_plan(plan, cluster);
  const auto times = static_cast<double>(steps);
  const Seconds step = in_seconds(result.step_time);
  snapshot.steps = static_cast<std::uint64_t>(steps);
  for (std::int64_t i = 0; i < steps; ++i) snapshot.step_duration.observe(step);
  snapshot.virtual_time_seconds = times * step.value;
  for (const emulator::BlameEntry& entry : result.blame)
    snapshot.blame_seconds[entry.cause] = times * in_seconds(entry.time).value;
  for (std::size_t i = 0; i < result.class_bytes.size(); ++i) {
    const topology::LinkClass& link_class = cluster.graph.classes[i];
    const double bytes = times * result.class_bytes[i];
    snapshot.links.push_back(
        {"", link_class.name, "emulated", bytes, bytes, link_class.capacity.bytes_per_second,
         times * result.class_busy_seconds[i], times * result.class_limiting_seconds[i]});
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(result.links.size(), 10); ++i) {
    const emulator::LinkLoad& load = result.links[i];
    snapshot.links.push_back(
        {cluster.graph.name_of(load.link), cluster.graph.class_of(load.link).name, "emulated",
         times * load.bytes, times * load.bytes, cluster.graph.capacity(load.link).bytes_per_second,
         times * load.busy_seconds, times * load.limiting_seconds});
  }
  snapshot.workers = {{"running", 0}, {"done", ranks}, {"lost", 0}};
  if (snapshot.predicted_step_seconds > 0)
    snapshot.prediction_ratio = step.value / snapshot.predicted_step_seconds;
  return snapshot;
}

}  // namespace

int run_emulated(const World& world, const RunOptions& options, const emulator::Plan& plan,
                 const topology::Cluster& cluster, NodeMetrics& metrics) {
  Errors errors;
  World patient = world;  // the emulation takes as long as it takes
  patient.patience = seconds(1e9);
  if (world.first()) {
    const auto result = emulator::emulate_step(cluster, plan, topology::default_calibration());
    if (!result) {
      errors = result.error();
    } else {
      const double virtual_time =
          static_cast<double>(options.steps) * in_seconds(result->step_time).value;
      constexpr double decades = 1e9;  // seconds that the clock can add in any case
      if (options.speed > 0)
        std::this_thread::sleep_for(
            std::chrono::duration<double>(std::min(decades, virtual_time / options.speed)));
      metrics.publish(snapshot_after(options.steps, plan, cluster, *result, world.size));
      const std::string json = document_of(world, options, plan, *result).dump(2) + "\n";
      std::cout << report_text(json) << std::flush;
      errors = metrics.write_textfile();
      if (errors.empty() && !options.json_path.empty())
        errors = write_file(options.json_path, json);
    }
  }
  return agree(patient, errors) ? exit_ok : exit_usage;
}

}  // namespace railwright::worker
