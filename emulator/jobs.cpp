#include "emulator/jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "emulator/step/report.hpp"
#include "emulator/step/standstill.hpp"

namespace railwright::emulator {

using topology::Cluster;
using topology::LinkId;

namespace {

// Two jobs of a pair that use one accelerator: the first such, by accelerator.
Errors overlaps(const Cluster& cluster, const std::vector<Job>& jobs) {
  std::map<topology::AcceleratorId, std::size_t> user;
  for (std::size_t j = 0; j < jobs.size(); ++j)
    for (std::int64_t rank = 0; rank < jobs[j].plan.degrees.world(); ++rank) {
      const auto where = accelerator_of(rank, jobs[j].plan.placement, jobs[j].plan.degrees);
      const auto [place, first] = user.try_emplace(where, j);
      if (first) continue;
      return {{{},
               fmt::format("{} and {} both use {} on {}", jobs[place->second].name, jobs[j].name,
                           cluster.graph.name_of(cluster.vertex_of(where)),
                           cluster.node_name(cluster.node_of(where))),
               "give one of them other nodes: `railwright plan --first-node N`"}};
    }
  return {};
}

// Jobs that share links, directly or through others: the lowest of each set, per job.
std::vector<std::size_t> neighbourhoods(const std::vector<std::map<LinkId, double>>& bytes) {
  std::vector<std::size_t> lowest(bytes.size());
  std::iota(lowest.begin(), lowest.end(), std::size_t{0});
  std::map<LinkId, std::size_t> user;
  for (std::size_t j = 0; j < bytes.size(); ++j)
    for (const auto& [link, number] : bytes[j]) {
      const std::size_t other = lowest[user.try_emplace(link, j).first->second];
      const std::size_t one = lowest[j];
      for (std::size_t& each : lowest)
        if (each == std::max(one, other)) each = std::min(one, other);
    }
  return lowest;
}

Result<PreparedStep> prepared(const Cluster& cluster, const Plan& plan,
                              const topology::Calibration& calibration,
                              const StepOptions& options) {
  std::vector<workload::Program> programs;
  for (int stage = 0; stage < plan.degrees.pp; ++stage)
    programs.push_back(stage_program(plan.training, plan.degrees, stage));
  return PreparedStep::make(cluster, plan, std::move(programs), calibration, options);
}

Picoseconds time_of_links(const Blame& blame) {
  Picoseconds sum;
  for (const BlameEntry& entry : blame)
    if (entry.cause.starts_with("link:")) sum.count += entry.time.count;
  return sum;
}

Picoseconds time_of(const Blame& blame, const std::string& cause) {
  for (const BlameEntry& entry : blame)
    if (entry.cause == cause) return entry.time;
  return {};
}

// Who loads the links of a class on a job's critical path: job -> weight, and its worst link.
struct Weights {
  std::map<std::size_t, double> of_job;
  std::map<std::size_t, std::pair<double, LinkId>> worst;
};

Weights weights_of(const StepResult& step, std::size_t job, const std::string& cause,
                   const std::vector<JobResult>& results,
                   const std::vector<std::map<LinkId, double>>& bytes, const Cluster& cluster) {
  Weights weights;
  for (const LinkLoad& load : step.links) {
    if (load.critical.count == 0) continue;
    if ("link:" + cluster.graph.class_of(load.link).name != cause) continue;
    for (std::size_t other = 0; other < results.size(); ++other) {
      const auto used = bytes[other].find(load.link);
      if (other == job || used == bytes[other].end()) continue;
      const double weight = in_seconds(load.critical).value * used->second /
                            in_seconds(results[other].step.step_time).value;
      weights.of_job[other] += weight;
      auto& worst = weights.worst[other];
      if (weight > worst.first) worst = {weight, load.link};
    }
  }
  return weights;
}

std::vector<Toll> tolls_of(std::size_t job, const Blame& alone,
                           const std::vector<JobResult>& results,
                           const std::vector<std::map<LinkId, double>>& bytes,
                           const Cluster& cluster) {
  const StepResult& step = results[job].step;
  std::vector<Toll> tolls;
  for (const BlameEntry& entry : step.blame) {
    const Picoseconds more = entry.time - time_of(alone, entry.cause);
    if (!entry.cause.starts_with("link:") || more.count <= 0) continue;
    const Weights weights = weights_of(step, job, entry.cause, results, bytes, cluster);
    double whole = 0;
    for (const auto& [other, weight] : weights.of_job) whole += weight;
    for (const auto& [other, weight] : weights.of_job) {
      const auto part = static_cast<std::int64_t>(static_cast<double>(more.count) * weight / whole);
      tolls.push_back({other, entry.cause, weights.worst.at(other).second, {part}});
    }
  }
  // What limits alone and what limits beside others may be links of two classes; what interference
  // costs more is nobody's.
  double whole = 0;
  for (const Toll& toll : tolls) whole += in_seconds(toll.time).value;
  const double lost = in_seconds(std::min(step.step_time - results[job].alone,
                                          time_of_links(step.blame) - time_of_links(alone)))
                          .value;
  for (Toll& toll : tolls)
    if (whole > lost)
      toll.time.count = static_cast<std::int64_t>(static_cast<double>(toll.time.count) *
                                                  (std::max(0.0, lost) / whole));
  std::stable_sort(tolls.begin(), tolls.end(),
                   [](const Toll& a, const Toll& b) { return a.time > b.time; });
  return tolls;
}

// Runs the jobs of one neighbourhood together, in place.
Result<void> run_neighbours(const Cluster& cluster, const std::vector<Job>& jobs,
                            const std::vector<std::size_t>& members,
                            const std::vector<PreparedStep>& all,
                            const topology::Calibration& calibration, const StepOptions& options,
                            std::vector<JobResult>& results) {
  std::vector<const PreparedStep*> steps;
  for (const std::size_t j : members) steps.push_back(&all[j]);
  const std::vector<Execution> executions = PreparedStep::run_together(steps, cluster);
  for (std::size_t i = 0; i < members.size(); ++i) {
    JobResult& result = results[members[i]];
    const StepRecord& record = executions[i].record;
    const Layout& layout = steps[i]->layout();
    if (record.outlasts_time) return failure({}, "a step beside others takes weeks", {});
    if (record.standstill)
      result.step.standstill =
          standstill_of(executions[i], layout, jobs[members[i]].plan, options.faults);
    else
      result.step =
          beside_others(result.step, executions[i], layout, cluster, calibration, options);
  }
  return {};
}

}  // namespace

Result<std::vector<JobResult>> emulate_jobs(const Cluster& cluster, const std::vector<Job>& jobs,
                                            const topology::Calibration& calibration,
                                            const StepOptions& options) {
  if (Errors errors = overlaps(cluster, jobs); !errors.empty())
    return tl::unexpected<Errors>(std::move(errors));
  StepOptions unfolded = options;
  unfolded.fold = false;
  std::vector<JobResult> results;
  std::vector<PreparedStep> steps;
  std::vector<std::map<LinkId, double>> bytes;
  for (const Job& job : jobs) {
    Result<StepResult> alone = emulate_step(cluster, job.plan, calibration, options);
    if (!alone) return tl::unexpected<Errors>(alone.error());
    const Picoseconds time = alone->step_time;
    results.push_back({std::move(*alone), time, {}});
    auto step = prepared(cluster, job.plan, calibration, unfolded);
    if (!step) return tl::unexpected<Errors>(step.error());
    steps.push_back(std::move(*step));
    const Execution idle =
        steps.back().set_up(cluster, std::make_shared<Network>(cluster.graph, calibration));
    bytes.push_back(link_bytes(*idle.costs, steps.back().layout()));
  }
  std::vector<Blame> blame_alone;
  for (const JobResult& result : results) blame_alone.push_back(result.step.blame);
  std::vector<std::size_t> lowest = neighbourhoods(bytes);
  const bool reroutes = std::ranges::any_of(
      options.faults.links, [](const LinkDegradation& fault) { return fault.factor == 0; });
  if (reroutes) std::ranges::fill(lowest, std::size_t{0});  // who knows where routes will go
  for (std::size_t first = 0; first < jobs.size(); ++first) {
    std::vector<std::size_t> members;
    for (std::size_t j = first; j < jobs.size(); ++j)  // who stands still is no neighbour for long
      if (lowest[j] == first && !results[j].step.standstill) members.push_back(j);
    if (members.size() < 2) continue;
    const auto run = run_neighbours(cluster, jobs, members, steps, calibration, unfolded, results);
    if (!run) return tl::unexpected<Errors>(run.error());
  }
  for (std::size_t j = 0; j < jobs.size(); ++j)
    if (results[j].step.step_time > results[j].alone)
      results[j].tolls = tolls_of(j, blame_alone[j], results, bytes, cluster);
  return results;
}

}  // namespace railwright::emulator
