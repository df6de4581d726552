#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "coordinator/calibration/runs.hpp"

namespace railwright::coordinator {
namespace {

using nlohmann::json;

constexpr double longest = 1e6;  // seconds
constexpr double most_bytes = 1e15;
constexpr int most_ranks = 16'777'216;

std::string text_in(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number_in(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

bool plausible(double size, double time) {
  return size >= 0 && size <= most_bytes && time > 0 && time <= longest;
}

// nccl-tests: {"args": [...], "devices": [{"hostname", "device_info"}], "results": [{"size",
// "out_of_place": {"time"}, "in_place": {"time"}}]}, times in microseconds.
RunHead head_of(const json& document) {
  RunHead head;
  if (const auto args = document.find("args");
      args != document.end() && args->is_array() && !args->empty() && args->front().is_string())
    head.operation = operation_of_program(args->front().get<std::string>());
  head.library = library_of_code(static_cast<int>(number_in(document, "nccl_version")));
  const auto devices = document.find("devices");
  if (devices == document.end() || !devices->is_array()) return head;
  for (const json& device : *devices) {
    if (!device.is_object()) continue;
    head.hosts.push_back(text_in(device, "hostname"));
    head.device = text_in(device, "device_info");
  }
  return head;
}

double time_in(const json& row, bool in_place) {
  for (const char* key : {in_place ? "in_place" : "out_of_place", "in_place"})
    if (const auto part = row.find(key); part != row.end() && part->is_object())
      if (const double time = number_in(*part, "time"); time > 0) return time;
  return 0;
}

Result<Measurement> nccl_tests_run(const json& document, const std::string& file,
                                   const RunHints& hints) {
  RunHead head = head_of(document);
  if (!head.operation && document.contains("results"))
    for (const json& row : document["results"])
      if (row.is_object()) head.operation = operation_of_program(text_in(row, "experiment_name"));
  return run_of(head, hints, file);
}

// railwright-worker bench: {"op", "backend", "ranks", "nodes", "results": [{"bytes", "time_s"}]}.
Result<Measurement> bench_run(const json& document, const std::string& file,
                              const RunHints& hints) {
  Measurement run;
  const auto operation = operation_of_program(
      text_in(document, "op") == "all_to_all" ? "alltoall" : text_in(document, "op"));
  const double ranks = number_in(document, "ranks"), nodes = number_in(document, "nodes");
  if (!operation || !(ranks >= 2 && ranks <= most_ranks && nodes >= 1 && nodes <= ranks))
    return failure({file, 1, 1}, "no op, ranks or nodes of a bench", "run it with --json FILE");
  run.operation = *operation;
  run.group = file;
  run.library = text_in(document, "backend");
  run.accelerator = hints.accelerator.empty() ? "cpu-core" : hints.accelerator;
  run.ranks = static_cast<int>(ranks);
  run.nodes = static_cast<int>(nodes);
  run.per_node = run.ranks / run.nodes;
  run.nic = hints.nic;
  run.interconnect = hints.interconnect;
  return run;
}

// railwright-worker probe: {"probe": backend, "bytes", "pairs": [{"ranks", "same_machine",
// "latency_s", "bandwidth_bytes_per_s", "back_bandwidth_bytes_per_s"}]}. To send from one rank to
// another is to broadcast over the two: once nothing, once the message.
Result<std::vector<Measurement>> probe_rows(const json& document, const std::string& file,
                                            const RunHints& hints) {
  Measurement run;
  run.operation = workload::Operation::broadcast;
  run.group = file;
  run.library = text_in(document, "probe");
  run.accelerator = hints.accelerator.empty() ? "cpu-core" : hints.accelerator;
  run.ranks = 2;
  run.nic = hints.nic;
  run.interconnect = hints.interconnect;
  constexpr double nothing = 8;  // bytes: as good as none
  const double size = number_in(document, "bytes");
  if (!(size > nothing))
    return failure({file, 1, 1}, "no 'bytes' of a message in it", "probe with --bytes 1M");
  std::vector<Measurement> rows;
  for (const json& pair : document.value("pairs", json::array())) {
    const bool known = pair.is_object() && pair.value("same_machine", json()).is_boolean();
    const double latency = known ? number_in(pair, "latency_s") : 0;
    const double there = known ? number_in(pair, "bandwidth_bytes_per_s") : 0;
    const double back = known ? number_in(pair, "back_bandwidth_bytes_per_s") : 0;
    const double time = latency + size * (1 / there + 1 / back) / 2;
    if (!(there > 0) || !(back > 0) || !plausible(size, time) || !(latency > 0))
      return failure({file, 1, 1}, fmt::format("pair {} is not whole", rows.size() / 2));
    run.nodes = pair["same_machine"].get<bool>() ? 1 : 2;
    run.per_node = run.ranks / run.nodes;
    for (const double bytes_sent : {nothing, size}) {
      run.id = fmt::format("{}:{}:{:.0f}", file, rows.size() / 2, bytes_sent);
      run.size = bytes(static_cast<std::uint64_t>(bytes_sent));
      run.time = seconds(bytes_sent == size ? time : latency);
      rows.push_back(run);
    }
  }
  if (rows.empty()) return failure({file, 1, 1}, "no 'pairs' in it");
  return rows;
}

Result<std::vector<Measurement>> rows_of(const json& document, const Measurement& run, bool bench,
                                         const std::string& file, const RunHints& hints) {
  std::vector<Measurement> measurements;
  const auto results = document.find("results");
  if (results == document.end() || !results->is_array() || results->empty())
    return failure({file, 1, 1}, "no 'results' in it");
  for (const json& row : *results) {
    if (!row.is_object()) return failure({file, 1, 1}, "a result that is no object");
    const double size = number_in(row, bench ? "bytes" : "size");
    const double time =
        bench ? number_in(row, "time_s") : microseconds(time_in(row, hints.in_place)).value;
    if (!plausible(size, time))
      return failure({file, 1, 1},
                     fmt::format("result {} has no size or time", measurements.size()));
    measurements.push_back(run);
    measurements.back().id = fmt::format("{}:{:.0f}", file, size);
    measurements.back().size = bytes(static_cast<std::uint64_t>(size));
    measurements.back().time = seconds(time);
  }
  return measurements;
}

}  // namespace

Result<std::vector<Measurement>> read_json_runs(std::string_view text, const std::string& file,
                                                const RunHints& hints) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded() || !document.is_object())
    return failure({file, 1, 1}, "not one JSON document");
  if (document.contains("probe")) return probe_rows(document, file, hints);
  const bool bench = document.contains("backend");
  const auto run = bench ? bench_run(document, file, hints) : nccl_tests_run(document, file, hints);
  if (!run) return tl::unexpected<Errors>(run.error());
  return rows_of(document, *run, bench, file, hints);
}

}  // namespace railwright::coordinator
