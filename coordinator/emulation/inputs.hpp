// What `railwright emulate` is asked for, read and checked.
#pragma once

#include <string>
#include <vector>

#include "coordinator/console.hpp"
#include "emulator/emulator.hpp"

namespace railwright::coordinator {

struct EmulateOptions {
  std::string plan, model, cluster, parallel, precision = "bf16", faults, listen, output;
  std::string calibration;
  std::vector<std::string> plans;              // more than one: jobs beside each other
  int first_node = 0;                          // of what --parallel describes
  std::string trace, timeline, links, report;  // files to write, "" = none
  std::string speed = "1";                     // virtual seconds per wall second, or "max"
  std::int64_t global_batch = 0, sequence = 0;
  std::int64_t steps = 0;  // 0: one; while listening: until a signal
  std::uint64_t seed = 1;  // of what is random in the faults
  bool json = false, allow_remote = false, ignore_memory = false, no_fold = false;
  bool sensitivities = false, no_sensitivities = false;  // neither: where they are cheap
};

struct EmulateInputs {
  topology::Cluster cluster;
  emulator::Plan plan;
  topology::Calibration calibration = {};
  emulator::Faults faults = {};
  std::uint64_t seed = 1;
  std::string faults_sha256 = {};                    // "" = none
  bool fold = true;                                  // run ranks that nothing tells apart once
  std::int64_t sensitivities_up_to = 0;              // events of a step, see StepOptions
  std::size_t timeline_ranks = 0, course_links = 0;  // for the files to write, see StepOptions
};

Result<EmulateInputs> read_inputs(const EmulateOptions& options);
// HBM of the smallest accelerator that the plan uses.
Bytes memory_capacity(const EmulateInputs& inputs);
// Why the plan does not fit into memory; "" when it does.
std::string memory_shortage(const EmulateInputs& inputs);
// Of its steps, as `plan` gives it: a fraction.
double uncertainty_of(const EmulateInputs& inputs);

}  // namespace railwright::coordinator
