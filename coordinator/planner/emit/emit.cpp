#include "coordinator/planner/emit/emit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "coordinator/planner/emit/frameworks.hpp"
#include "topology/files/names.hpp"

namespace railwright::coordinator {

using emulator::Plan;

std::string precision_word(const workload::Training& training) {
  return std::string(topology::name_of(topology::precision_names, training.precision));
}

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

Result<std::string> emit(Framework framework, const Plan& plan) {
  Errors errors;
  switch (framework) {
    case Framework::megatron:
      errors = megatron_refusals(plan);
      break;
    case Framework::nemo:
      errors = nemo_refusals(plan);
      break;
    case Framework::torchtitan:
      errors = torchtitan_refusals(plan);
      break;
    case Framework::deepspeed:
      errors = deepspeed_refusals(plan);
      break;
  }
  if (auto error = emulator::why_not_launched(plan)) errors.push_back(std::move(*error));
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  switch (framework) {
    case Framework::megatron:
      return megatron_arguments(plan);
    case Framework::nemo:
      return nemo_overrides(plan);
    case Framework::torchtitan:
      return torchtitan_config(plan);
    case Framework::deepspeed:
      return deepspeed_config(plan);
  }
  return failure({}, "no such framework", {});
}

namespace {

// Letters, digits and what a job's name may hold besides.
std::string job_name(const std::string& model) {
  std::string name = "railwright-" + model;
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.'; },
      '-');
  return name;
}

}  // namespace

Result<std::string> emit_sbatch(const Plan& plan, const std::string& plan_file) {
  const topology::ClusterSpec& spec = plan.cluster;
  const int per_node = spec.nodes.front().accelerators;
  const std::int64_t world = plan.degrees.world();
  if (auto error = emulator::why_not_launched(plan))
    return tl::unexpected(Errors{std::move(*error)});
  for (const topology::NodeGroup& group : spec.nodes)
    if (group.accelerators != per_node)
      return failure({},
                     fmt::format("sbatch: nodes of '{}' have {} accelerators and others {}",
                                 spec.name, group.accelerators, per_node),
                     "use nodes of one size: --ntasks-per-node is one number");
  if (world > per_node && world % per_node != 0)
    return failure({}, fmt::format("sbatch: {} ranks do not fill nodes of {}", world, per_node),
                   fmt::format("use a multiple of {} --accelerators", per_node));
  if (plan_file.find('\n') != std::string::npos)
    return failure({}, "sbatch: the plan's file name has a line break", "choose another -o");
  const std::int64_t tasks = std::min<std::int64_t>(world, per_node);
  return fmt::format(R"(#!/bin/bash
# Slurm 19.05 or later; {} on {}: {}
#SBATCH --job-name={}
#SBATCH --nodes={}
#SBATCH --ntasks-per-node={}
#SBATCH --gpus-per-node={}
#SBATCH --exclusive
#SBATCH --distribution=block:block
set -euo pipefail
plan={}
srun --kill-on-bad-exit=1 railwright-worker run --plan "$plan"
)",
                     job_name(plan.training.model.name), job_name(spec.name).substr(11),
                     workload::to_string(plan.degrees), job_name(plan.training.model.name),
                     world / tasks, tasks, tasks, shell_quoted(plan_file));
}

}  // namespace railwright::coordinator
