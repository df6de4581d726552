// Runs of a benchmark as measurements. Four kinds of files are told by their content:
//   nccl-tests and rccl-tests: the table they print, or their JSON (-J FILE)
//   railwright-worker bench and probe: their JSON (--json FILE)
//   a table of measurements: docs/validate.md
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/validation/measurement.hpp"

namespace railwright::coordinator {

// What the user says where a file says nothing; it wins over what the file says.
struct RunHints {
  std::optional<workload::Operation> operation;
  std::string accelerator, library, interconnect;
  std::optional<Bandwidth> nic;
  bool in_place = false;  // else the out-of-place columns, where there are any
};

Result<std::vector<Measurement>> read_runs(std::string_view text, const std::string& file,
                                           const RunHints& hints);

// "NVIDIA H100 80GB HBM3" is h100-sxm5-80gb; empty when no accelerator of ours has that name.
std::string accelerator_of_device(std::string_view device);

// ---- the readers, one file each
Result<std::vector<Measurement>> read_nccl_tests_text(std::string_view text,
                                                      const std::string& file,
                                                      const RunHints& hints);
Result<std::vector<Measurement>> read_json_runs(std::string_view text, const std::string& file,
                                                const RunHints& hints);

// What both readers of nccl-tests need to know of a run before its rows.
struct RunHead {
  std::optional<workload::Operation> operation;
  std::vector<std::string> hosts;  // of each rank
  std::string device, library;
};
std::optional<workload::Operation> operation_of_program(std::string_view program);
// "NCCL 2.30.7" of 23007.
std::string library_of_code(int code);
// A row's worth of `head` and `hints`; an error where neither says what is needed.
Result<Measurement> run_of(const RunHead& head, const RunHints& hints, const std::string& file);

}  // namespace railwright::coordinator
