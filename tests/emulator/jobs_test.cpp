// Several jobs on one fabric.
#include "emulator/jobs.hpp"

#include <cmath>

#include "emulator/step/prepared.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using Catch::Matchers::Contains;

namespace {

// Nodes on leaves of two, thin spines: what crosses leaves is shared.
topology::Cluster shared_cluster(int nodes) {
  topology::ClusterSpec spec =
      lab_cluster(nodes, {gigabytes_per_second(400), gigabytes_per_second(4), microseconds(1)})
          .spec;
  spec.networks[0].nodes_per_leaf = 2;
  spec.networks[0].oversubscription = 2;
  return must(topology::build_cluster(spec));
}

// A job on nodes `first`, first + 1, ..., or on every other one of them.
Job job_on(const topology::Cluster& cluster, const char* name, const char* degrees, int first,
           int batch, bool every_other = false) {
  const auto& calibration = topology::default_calibration();
  Plan plan = must(make_plan(cluster, lab_training(batch), degrees_of(degrees), calibration));
  plan.placement.first_accelerator = 4 * first;
  if (every_other)
    for (std::size_t i = 0; i < plan.placement.order.size(); ++i)
      if (plan.placement.order[i] == workload::Dimension::dp) plan.placement.strides[i] *= 2;
  return {name, std::move(plan)};
}

}  // namespace

TEST_CASE("jobs that share no link take what they take alone, to the picosecond") {
  const topology::Cluster cluster = shared_cluster(8);
  const std::vector<Job> jobs = {job_on(cluster, "a", "tp=4,dp=2", 0, 16),
                                 job_on(cluster, "b", "tp=2,dp=4", 2, 32),
                                 job_on(cluster, "c", "tp=4,pp=2", 6, 4)};
  const auto& calibration = topology::default_calibration();
  const auto results = must(emulate_jobs(cluster, jobs, calibration));
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    const StepResult alone = must(emulate_step(cluster, jobs[j].plan, calibration));
    CHECK(results[j].step.step_time == alone.step_time);
    CHECK(results[j].step.blame == alone.blame);
    CHECK(results[j].tolls.empty());
  }
  // The same when they are run on one network all the same.
  StepOptions options;
  options.fold = false;
  std::vector<PreparedStep> steps;
  for (const Job& job : jobs) {
    std::vector<workload::Program> programs;
    for (int stage = 0; stage < job.plan.degrees.pp; ++stage)
      programs.push_back(stage_program(job.plan.training, job.plan.degrees, stage));
    steps.push_back(
        must(PreparedStep::make(cluster, job.plan, std::move(programs), calibration, options)));
  }
  std::vector<const PreparedStep*> pointers;
  for (const PreparedStep& step : steps) pointers.push_back(&step);
  const auto executions = PreparedStep::run_together(pointers, cluster);
  for (std::size_t j = 0; j < jobs.size(); ++j)
    CHECK(length_of(executions[j].record) ==
          must(emulate_step(cluster, jobs[j].plan, calibration, options)).step_time);
}

TEST_CASE("a noisy neighbour is named, with the link on which it takes its toll") {
  const topology::Cluster cluster = shared_cluster(4);
  // Both jobs have a node under each leaf, and meet on the spine.
  const std::vector<Job> jobs = {job_on(cluster, "victim", "tp=4,dp=2", 0, 4, true),
                                 job_on(cluster, "noisy", "tp=4,dp=2", 1, 4, true)};
  const auto results = must(emulate_jobs(cluster, jobs, topology::default_calibration()));
  for (std::size_t j = 0; j < 2; ++j) {
    const JobResult& result = results[j];
    CHECK(result.step.step_time > result.alone);
    CHECK(sum_of(result.step.blame) == result.step.step_time);
    REQUIRE_FALSE(result.tolls.empty());
    CHECK(result.tolls.front().job == 1 - j);
    CHECK(result.tolls.front().cause == "link:spine");
    CHECK(cluster.graph.class_of(result.tolls.front().link).name == "spine");
    CHECK(result.tolls.front().time.count > 0);
    CHECK(result.step.blame.front().cause == "link:spine");
  }
}

TEST_CASE("two equal jobs that share every link on their way take at most twice as long") {
  const topology::Cluster cluster = shared_cluster(4);
  const std::vector<Job> jobs = {job_on(cluster, "a", "tp=4,dp=2", 0, 4, true),
                                 job_on(cluster, "b", "tp=4,dp=2", 1, 4, true)};
  const auto results = must(emulate_jobs(cluster, jobs, topology::default_calibration()));
  CHECK(results[0].step.step_time == results[1].step.step_time);
  CHECK(results[0].step.step_time.count <= 2 * results[0].alone.count);
}

// Alone the first job ends before the loss; beside the second one it does not.
TEST_CASE("a job that dies beside another is told, and the run ends") {
  const topology::Cluster cluster = shared_cluster(8);
  const std::vector<Job> jobs = {job_on(cluster, "a", "tp=4,dp=4", 0, 16, true),
                                 job_on(cluster, "b", "tp=4,dp=4", 1, 16, true)};
  const auto& calibration = topology::default_calibration();
  const auto healthy = must(emulate_jobs(cluster, jobs, calibration));
  REQUIRE(healthy[0].step.step_time > healthy[0].alone);
  const Picoseconds between{(healthy[0].alone.count + healthy[0].step.step_time.count) / 2};
  StepOptions options;
  options.faults.accelerators = {{topology::AcceleratorId{0}, 0, Instant{0} + between}};
  const auto results = must(emulate_jobs(cluster, jobs, calibration, options));
  CHECK(results[0].step.standstill.has_value());
}

TEST_CASE("jobs on the same accelerator are refused, and the node is named") {
  const topology::Cluster cluster = shared_cluster(4);
  const std::vector<Job> jobs = {job_on(cluster, "a.json", "tp=4,dp=2", 0, 4),
                                 job_on(cluster, "b.json", "tp=4,dp=2", 1, 4)};
  const auto results = emulate_jobs(cluster, jobs, topology::default_calibration());
  REQUIRE_FALSE(results);
  CHECK_THAT(to_string(results.error()),
             Contains("a.json and b.json both use node1/gpu0 on node1"));
}
