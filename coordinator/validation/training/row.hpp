// Measured training steps as people publish them: one row is one configuration. The columns are
// those of docs/validate.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"
#include "workload/model.hpp"

namespace railwright::coordinator {

// Absent: the source does not say.
struct TrainingRow {
  int line = 0;
  std::string id, group;      // group: where it comes from, for reports only
  std::string framework;      // "megatron", "fsdp", ...
  workload::Model model;      // sizes as given; the rest is the setup's business
  std::optional<bool> gated;  // SwiGLU-like: three matrices
  int experts = 0, top_k = 0;
  std::int64_t sequence = 0, global_batch = 0;
  std::string precision;    // "fp16", "bf16", "fp8", "mxfp8", "nvfp4"
  std::string accelerator;  // in the words of the source
  int accelerators = 1, per_node = 8;
  std::optional<Bandwidth> nic;  // per accelerator, one direction
  int tp = 1, pp = 1, vpp = 1, cp = 1, ep = 1, dp = 1;
  std::optional<int> zero_stage, shard_degree, micro_batch;
  std::optional<std::string> recompute;  // "none", "selective", "full"
  std::optional<bool> sequence_parallel;
  std::optional<Seconds> step_time;
  std::optional<double> peak_memory, activation_memory, state_memory;  // bytes
  std::optional<bool> fits;                                            // false: out of memory
};

// All errors at once, with their lines. A row that says nothing measured is an error.
Result<std::vector<TrainingRow>> parse_training_rows(std::string_view text,
                                                     const std::string& file);

}  // namespace railwright::coordinator
