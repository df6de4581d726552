// Workload: what is trained.
//
// A model (a Hugging Face config.json) and parallel degrees become numbers and a program: how many
// FLOPs and bytes a layer takes, what must fit into memory on each stage, and the ops that each
// stage issues, stream by stream. Nothing here knows links or time; roofline.hpp turns one kernel
// on one accelerator into seconds.
//
//   auto model = load_model("llama-3.1-8b");
//   Training training{*model, 128, 8192};
//   if (violations(training, degrees).empty()) {
//     MemoryUse memory = peak_memory(training, degrees);
//     Program program = stage_program(training, degrees, 0);
//   }
#pragma once

#include "workload/cost.hpp"
#include "workload/degrees.hpp"
#include "workload/model.hpp"
#include "workload/pipeline.hpp"
#include "workload/program.hpp"
#include "workload/roofline.hpp"
