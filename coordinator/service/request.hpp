// What a client asks to train, as one JSON document: checked when it is submitted, and the options
// of `railwright plan` when it is planned.
#pragma once

#include <string>
#include <vector>

#include "coordinator/console.hpp"
#include "coordinator/control/job.hpp"
#include "topology/topology.hpp"

namespace railwright::coordinator {

struct JobRequest {
  std::string model;       // a name of the catalogue, or what the file was called
  std::string model_text;  // of that file; "": a name of the catalogue
  std::string precision = "bf16", fix;
  std::int64_t accelerators = 0, global_batch = 0, sequence = 0, steps = 10;
  std::int64_t least_accelerators = 0;  // 0: as many as wanted
  bool emulated = false;
  std::string workload = "traffic";  // or train; docs/training.md
  std::string text;                  // train: a file that the nodes see, from the root
  std::string learning_rate;         // train: a number; "": the worker's
  std::int64_t seed = 1, checkpoint_every = 10;
};

Json to_json(const JobRequest& request);

// Unknown keys are errors. `id` and `owner` are letters, digits, '.', '-' and '_', 64 at most:
// they become names of files.
Result<control::JobSpec> job_spec(const std::string& body, const std::string& owner,
                                  const topology::Cluster& cluster);
bool is_name(const std::string& text);
JobRequest request_of(const control::JobSpec& spec);

// Accelerators of the node that has fewest.
std::int64_t accelerators_per_node(const topology::Cluster& cluster);

struct Portion;  // of replan.hpp
// After "railwright plan". `model_path`: where the text of the model was written.
std::vector<std::string> plan_arguments(const JobRequest& request, const Portion& portion,
                                        control::NodeRange nodes, const std::string& cluster_name,
                                        const std::string& model_path, const std::string& output);
// After "railwright run", beside plan and steps. `checkpoints`: the job's folder of them; `report`:
// where the run reports what it has seen so far.
std::vector<std::string> run_arguments(const JobRequest& request, const std::string& checkpoints,
                                       const std::string& report);

}  // namespace railwright::coordinator
