// Rows of measured training steps for tests, in the columns of docs/validate.md.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "coordinator/validation/training/row.hpp"

namespace railwright::test {

inline const std::string training_header =
    "id,group,framework,model,layers,hidden,heads,kv_heads,ffn_hidden,gated_mlp,vocab,seq_len,"
    "experts,top_k,precision,accelerator,accelerators,per_node,nic_gbps_per_accelerator,tp,pp,vpp,"
    "cp,ep,dp,zero_stage,shard_degree,recompute,sequence_parallel,micro_batch,global_batch,"
    "step_time_s,peak_memory_gib,activation_memory_gib,state_memory_gib,fits\n";

inline std::vector<coordinator::TrainingRow> training_rows(const std::string& rows) {
  auto parsed = coordinator::parse_training_rows(training_header + rows, "t.csv");
  INFO((parsed ? "" : to_string(parsed.error())));
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace railwright::test
