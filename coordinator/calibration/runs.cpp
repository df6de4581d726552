#include "coordinator/calibration/runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace railwright::coordinator {
namespace {

using workload::Operation;

// The first that occurs wins, so longer names come first.
constexpr std::pair<std::string_view, std::string_view> devices[] = {
    {"GB300", "gb300-nvl72"},
    {"GB200", "gb200-nvl72"},
    {"GB10", "dgx-spark"},
    {"GH200", "gh200"},
    {"B300", "b300-sxm-288gb"},
    {"B200", "b200-sxm-180gb"},
    {"H200", "h200-sxm-141gb"},
    {"H100 PCIe", "h100-pcie-80gb"},
    {"H100", "h100-sxm5-80gb"},
    {"H800", "h800"},
    {"H20", "h20"},
    {"A800", "a800"},
    {"A100-PCIE", "a100-pcie-80gb"},
    {"A100 80GB PCIe", "a100-pcie-80gb"},
    {"A100-SXM4-40GB", "a100-sxm4-40gb"},
    {"A100", "a100-sxm4-80gb"},
    {"V100-SXM", "v100-sxm2-32gb"},
    {"MI355X", "mi355x"},
    {"MI325X", "mi325x"},
    {"MI300X", "mi300x"}};

constexpr std::pair<std::string_view, Operation> programs[] = {
    {"all_reduce", Operation::all_reduce},
    {"all_gather", Operation::all_gather},
    {"reduce_scatter", Operation::reduce_scatter},
    {"broadcast", Operation::broadcast},
    {"alltoall", Operation::all_to_all}};

}  // namespace

std::string accelerator_of_device(std::string_view device) {
  for (const auto& [needle, accelerator] : devices)
    if (device.find(needle) != std::string_view::npos) return std::string(accelerator);
  return {};
}

std::optional<Operation> operation_of_program(std::string_view program) {
  for (const auto& [needle, operation] : programs)
    if (program.find(needle) != std::string_view::npos) return operation;
  return {};
}

std::string library_of_code(int code) {
  return code > 0 ? fmt::format("NCCL {}.{}.{}", code / 10000, code / 100 % 100, code % 100) : "";
}

Result<Measurement> run_of(const RunHead& head, const RunHints& hints, const std::string& file) {
  Measurement run;
  const auto operation = hints.operation ? hints.operation : head.operation;
  if (!operation)
    return failure({file, 0, 0}, "does not say which collective it ran", "say it: --op all_reduce");
  run.operation = *operation;
  run.group = file;
  run.library = hints.library.empty() ? head.library : hints.library;
  run.accelerator =
      hints.accelerator.empty() ? accelerator_of_device(head.device) : hints.accelerator;
  if (run.accelerator.empty())
    return failure({file, 0, 0},
                   head.device.empty()
                       ? "does not say on which accelerators it ran"
                       : fmt::format("no accelerator of '{}' is known", head.device),
                   "say it: --accelerator h100-sxm5-80gb");
  run.ranks = static_cast<int>(head.hosts.size());
  run.nodes = static_cast<int>(std::set<std::string>(head.hosts.begin(), head.hosts.end()).size());
  if (run.ranks < 2)
    return failure({file, 0, 0}, fmt::format("{} ranks: nothing is exchanged", run.ranks),
                   "keep the lines '#  Rank  0 ...' of the output");
  run.per_node = run.ranks / run.nodes;
  run.nic = hints.nic;
  run.interconnect = hints.interconnect;
  return run;
}

Result<std::vector<Measurement>> read_runs(std::string_view text, const std::string& file,
                                           const RunHints& hints) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return failure({file, 1, 1}, "the file is empty");
  if (text[first] == '{') return read_json_runs(text, file, hints);
  if (kind_of_measurements(text) == MeasurementKind::collectives)
    return parse_measurements(text, file);
  return read_nccl_tests_text(text, file, hints);
}

}  // namespace railwright::coordinator
