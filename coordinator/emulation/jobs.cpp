#include "coordinator/emulation/jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "coordinator/emulation/report.hpp"
#include "coordinator/emulation/sequence.hpp"
#include "coordinator/planner/report.hpp"

namespace railwright::coordinator {

using emulator::JobResult;

namespace {

struct Jobs {
  std::vector<EmulateInputs> inputs;  // one per plan
  std::vector<JobResult> results;
};

Errors what_one_job_alone_has(const EmulateOptions& options) {
  const std::pair<bool, const char*> refused[] = {
      {!options.listen.empty(), "--listen"},     {options.steps > 1, "--steps"},
      {!options.output.empty(), "-o"},           {!options.trace.empty(), "--trace"},
      {!options.timeline.empty(), "--timeline"}, {!options.links.empty(), "--links"},
      {!options.report.empty(), "--report"},     {options.sensitivities, "--sensitivities"}};
  Errors errors;
  for (const auto& [given, name] : refused)
    if (given)
      errors.push_back({{}, fmt::format("{} takes one --plan", name), "emulate that job alone"});
  return errors;
}

Result<std::vector<EmulateInputs>> read_all(const EmulateOptions& options) {
  Errors errors = what_one_job_alone_has(options);
  std::vector<EmulateInputs> all;
  for (const std::string& plan : options.plans) {
    EmulateOptions one = options;
    one.plan = plan;
    auto inputs = read_inputs(one);
    if (!inputs) {
      errors.insert(errors.end(), inputs.error().begin(), inputs.error().end());
      continue;
    }
    if (!all.empty() && inputs->plan.cluster != all.front().plan.cluster)
      errors.push_back({{plan},
                        fmt::format("plan of another cluster ('{}') than {}",
                                    inputs->plan.cluster.name, options.plans.front()),
                        "make both plans for one cluster"});
    all.push_back(std::move(*inputs));
  }
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return all;
}

// Only faults that begin before the last job ends are given, as for a single job.
Result<std::vector<JobResult>> run(const EmulateOptions& options,
                                   const std::vector<EmulateInputs>& inputs) {
  std::vector<emulator::Job> jobs;
  for (std::size_t j = 0; j < inputs.size(); ++j)
    jobs.push_back({options.plans[j], inputs[j].plan});
  const topology::Cluster& cluster = inputs.front().cluster;
  auto faults = emulator::FaultSequence::make(inputs.front().faults, cluster, options.seed);
  if (!faults) return tl::unexpected<Errors>(faults.error());
  emulator::StepOptions step;
  step.fold = inputs.front().fold;
  for (Picoseconds horizon{0};;) {
    step.faults = faults_within(faults->until(Instant{0} + horizon, cluster), Instant{0}, horizon);
    auto results = emulator::emulate_jobs(cluster, jobs, inputs.front().calibration, step);
    if (!results) return results;
    Picoseconds longest;
    for (const JobResult& result : *results)
      longest = std::max(longest, result.step.standstill ? result.step.standstill->at - Instant{0}
                                                         : result.step.step_time);
    const auto more =
        faults_within(faults->until(Instant{0} + longest, cluster), Instant{0}, longest);
    if (longest <= horizon || more.links.size() + more.accelerators.size() ==
                                  step.faults.links.size() + step.faults.accelerators.size())
      return results;
    horizon = longest;
  }
}

double lost_of(const JobResult& result) {
  return in_seconds(result.step.step_time - result.alone).value;
}

Json blame_by_job(const JobResult& result, const EmulateOptions& options) {
  Json blame = blame_json(result.step.blame);
  for (Json& entry : blame) {
    Json by = Json::array();
    for (const emulator::Toll& toll : result.tolls)
      if (entry["cause"] == toll.cause)
        by.push_back({{"job", options.plans[toll.job]}, {"seconds", in_seconds(toll.time).value}});
    if (!by.empty()) entry["by"] = std::move(by);
  }
  return blame;
}

Json tolls_json(const JobResult& result, const EmulateOptions& options,
                const topology::Graph& graph) {
  Json tolls = Json::array();
  for (const emulator::Toll& toll : result.tolls)
    tolls.push_back({{"job", options.plans[toll.job]},
                     {"cause", toll.cause},
                     {"link", graph.name_of(toll.link)},
                     {"seconds", in_seconds(toll.time).value}});
  return tolls;
}

Json job_json(const EmulateOptions& options, const Jobs& jobs, std::size_t j) {
  const JobResult& result = jobs.results[j];
  const EmulateInputs& inputs = jobs.inputs[j];
  if (result.step.standstill) {
    Json json = standstill_json(*result.step.standstill, 1, Instant{0});
    json["plan"] = options.plans[j];
    return json;
  }
  const auto prediction = emulator::prediction_of(result.step, inputs.plan, inputs.cluster);
  return {{"plan", options.plans[j]},
          {"step_time_s", prediction.step_time.value},
          {"alone_step_time_s", in_seconds(result.alone).value},
          {"uncertainty", uncertainty_of(inputs)},
          {"lost_s", lost_of(result)},
          {"lost_to", tolls_json(result, options, inputs.cluster.graph)},
          {"mfu", prediction.mfu},
          {"tokens_per_s_per_accelerator", prediction.tokens_per_s_per_accelerator},
          {"ranks", result.step.ranks},
          {"classes", result.step.classes},
          {"events", result.step.events},
          {"blame", blame_by_job(result, options)}};
}

std::string job_text(const EmulateOptions& options, const Jobs& jobs, std::size_t j) {
  const JobResult& result = jobs.results[j];
  const topology::Graph& graph = jobs.inputs[j].cluster.graph;
  if (result.step.standstill)
    return options.plans[j] + "\n" + standstill_text(*result.step.standstill, 1, Instant{0});
  std::string text =
      fmt::format("{}: {} ranks, step {} +- {:.0f} %, alone {}, MFU {:.1f} %\n", options.plans[j],
                  result.step.ranks, to_string(in_seconds(result.step.step_time)),
                  100 * uncertainty_of(jobs.inputs[j]), to_string(in_seconds(result.alone)),
                  100 * result.step.mfu);
  for (const emulator::Toll& toll : result.tolls)
    text +=
        fmt::format("  loses {} to {} on {}, most of it on {}\n", to_string(in_seconds(toll.time)),
                    options.plans[toll.job], toll.cause, graph.name_of(toll.link));
  return text + "\n" + blame_table(result.step) + "\n";
}

}  // namespace

int emulate_jobs(const EmulateOptions& options, const Stopwatch& watch) {
  auto inputs = read_all(options);
  if (!inputs) return report(inputs.error());
  for (std::size_t j = 0; j < inputs->size(); ++j)
    if (const std::string shortage = memory_shortage((*inputs)[j]);
        !shortage.empty() && !options.ignore_memory) {
      report_usage(options.plans[j] + " does not fit: " + shortage, "--ignore-memory emulates it");
      return exit_infeasible;
    }
  auto results = run(options, *inputs);
  if (!results) return report(results.error());
  const Jobs jobs{std::move(*inputs), std::move(*results)};
  Json list = Json::array();
  std::string text;
  std::int64_t events = 0;
  bool stands = false;
  for (std::size_t j = 0; j < jobs.results.size(); ++j) {
    list.push_back(job_json(options, jobs, j));
    text += job_text(options, jobs, j);
    events += jobs.results[j].step.events;
    stands = stands || jobs.results[j].step.standstill;
  }
  if (options.json)
    print_json({{"jobs", list},
                {"events", events},
                {"wall_s", watch.wall_s()},
                {"peak_rss_bytes", Stopwatch::peak_rss_bytes()}});
  else
    std::cout << text << std::flush;
  return stands ? exit_failed : exit_ok;
}

}  // namespace railwright::coordinator
