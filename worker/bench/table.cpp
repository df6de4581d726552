#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "topology/version.hpp"
#include "worker/bench/bench.hpp"

namespace railwright::worker {
namespace {

using collectives::Operation;

// nccl-tests counts the elements of one rank where each rank has a part.
std::uint64_t shown_count(const BenchRow& row, DataType type) {
  const std::uint64_t count = row.size.count / size_of(type);
  switch (row.schedule.operation) {
    case Operation::reduce_scatter:
    case Operation::all_gather:
    case Operation::all_to_all:
      return count / static_cast<std::uint64_t>(row.schedule.ranks);
    default:
      return count;
  }
}

std::string redop(Operation operation) { return collectives::reduces(operation) ? "sum" : "none"; }

int root(const BenchRow& row) {
  const Operation operation = row.schedule.operation;
  const bool rooted = operation == Operation::broadcast || operation == Operation::reduce;
  return rooted ? row.schedule.root : -1;
}

double gigabytes(Bandwidth rate) { return in_gigabytes_per_second(rate); }

std::uint64_t wrong_in(const std::vector<BenchRow>& rows) {
  std::uint64_t wrong = 0;
  for (const BenchRow& row : rows) wrong += row.wrong;
  return wrong;
}

double average_bus_bandwidth(const std::vector<BenchRow>& rows) {
  double sum = 0;
  for (const BenchRow& row : rows) sum += row.bus_bandwidth().bytes_per_second;
  return rows.empty() ? 0 : sum / static_cast<double>(rows.size());
}

std::string interval_of(const Median& median) {
  if (!median.interval) return "N/A";
  return fmt::format("{:.2f} .. {:.2f}", median.interval->low, median.interval->high);
}

std::string added_columns(const BenchRow& row) {
  std::string text;
  if (row.speedup)
    text += fmt::format("  {:>8.2f}  {:>7.2f}  {:>15}", in_microseconds(*row.mpi_time),
                        row.speedup->value, interval_of(*row.speedup));
  if (row.limit)
    text += fmt::format("  {:>9.2f} {:>8.1f}", in_microseconds(*row.limit),
                        100 * (*row.limit / row.time));
  if (row.expected) text += fmt::format("  {:>9.2f}", in_microseconds(*row.expected));
  if (row.bound) text += fmt::format("  {:>9.2f}", in_microseconds(*row.bound));
  return text;
}

nlohmann::ordered_json json_of(const BenchRow& row, const BenchOptions& options) {
  nlohmann::ordered_json result = {{"bytes", row.size.count}, {"time_s", row.time.value}};
  if (row.mpi_time) result["mpi_time_s"] = row.mpi_time->value;
  if (row.speedup) result["speedup"] = row.speedup->value;
  if (row.speedup && row.speedup->interval)
    result["speedup_ci95"] = {row.speedup->interval->low, row.speedup->interval->high};
  if (row.limit) result["limit_s"] = row.limit->value;
  result["algbw"] = row.algorithm_bandwidth().bytes_per_second;
  result["busbw"] = row.bus_bandwidth().bytes_per_second;
  result["wrong"] = row.wrong;
  result["algorithm"] = is_opaque(options.backend) ? "opaque" : to_string(row.schedule.algorithm);
  if (row.expected) result["expected_s"] = row.expected->value;
  if (row.bound) result["bound_s"] = row.bound->value;
  return result;
}

}  // namespace

std::string bench_header(const World& world, const BenchOptions& options) {
  std::string added_names, added_units;
  if (options.compare_mpi) {
    added_names += fmt::format("  {:>8}  {:>7}", "mpi time", "speedup");
    added_units += fmt::format("  {:>8}  {:>7}", "(us)", "");
  }
  if (options.compare_mpi) {
    added_names += fmt::format("  {:>15}", "95 % interval");
    added_units += fmt::format("  {:>15}", "");
  }
  if (options.with_limit()) {
    added_names += fmt::format("  {:>9} {:>8}", "limit", "reached");
    added_units += fmt::format("  {:>9} {:>8}", "(us)", "(%)");
  }
  if (!options.cluster.empty()) {
    added_names += fmt::format("  {:>9}  {:>9}", "expected", "bound");
    added_units += fmt::format("  {:>9}  {:>9}", "(us)", "(us)");
  }
  const std::vector<int> machine_of = machines(world, options.ranks_per_node);
  const int nodes = 1 + *std::max_element(machine_of.begin(), machine_of.end());
  std::string text = fmt::format(
      "# railwright-worker {} bench: {}, {} ranks on {} node{}, backend {}{}\n", tool_version,
      to_string(options.operation), world.size, nodes, nodes == 1 ? "" : "s", options.backend,
      world.oversubscribed ? ", more ranks than cores" : "");
  const std::string step = options.step ? fmt::format("{}(bytes)", options.step->count)
                                        : fmt::format("{}(factor)", options.factor);
  text += fmt::format(
      "# minBytes {} maxBytes {} step: {} warmup iters: {} iters: {} agg iters: {} "
      "validation: {}\n",
      options.begin.count, options.end.count, step, options.warmup, options.iterations,
      options.aggregated, options.check ? 1 : 0);
  text += "# time: slowest rank, median over the iterations; buffers are used in place only\n#\n";
  text += fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}  {:^33}  {:^33}\n", "", "", "", "", "",
                      "out-of-place", "in-place");
  const std::string names =
      fmt::format("{:>8} {:>7} {:>7} {:>6}", "time", "algbw", "busbw", "#wrong");
  const std::string units = fmt::format("{:>8} {:>7} {:>7} {:>6}", "(us)", "(GB/s)", "(GB/s)", "");
  text += fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}  {:>33}  {:>33}{}\n", "size", "count",
                      "type", "redop", "root", names, names, added_names);
  text += fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}  {:>33}  {:>33}{}\n", "(B)",
                      "(elements)", "", "", "", units, units, added_units);
  return text;
}

std::string bench_line(const BenchRow& row, const BenchOptions& options) {
  const std::string absent = fmt::format("{:>8} {:>7} {:>7} {:>6}", "N/A", "N/A", "N/A", "N/A");
  const std::string measured =
      fmt::format("{:>8.2f} {:>7.2f} {:>7.2f} {:>6}", in_microseconds(row.time),
                  gigabytes(row.algorithm_bandwidth()), gigabytes(row.bus_bandwidth()), row.wrong);
  std::string line =
      fmt::format("  {:>10}  {:>12}  {:>8}  {:>6}  {:>6}  {:>33}  {:>33}", row.size.count,
                  shown_count(row, options.type), to_string(options.type),
                  redop(row.schedule.operation), root(row), absent, measured);
  return line + added_columns(row) + "\n";
}

std::string bench_footer(const std::vector<BenchRow>& rows, const std::optional<Ways>& ways) {
  const std::uint64_t wrong = wrong_in(rows);
  const std::string went =
      ways ? fmt::format("# Messages took        : shared memory {} bytes, MPI {} bytes\n",
                         ways->memory.count, ways->outside.count)
           : std::string();
  return went + fmt::format("# Out of bounds values : {} {}\n# Avg bus bandwidth    : {:.6g}\n#\n",
                            wrong, wrong == 0 ? "OK" : "FAILED", average_bus_bandwidth(rows) / 1e9);
}

std::string bench_json(const std::vector<BenchRow>& rows, const World& world,
                       const BenchOptions& options, const std::optional<Ways>& ways) {
  nlohmann::ordered_json document = {{"version", tool_version},
                                     {"op", to_string(options.operation)},
                                     {"type", to_string(options.type)},
                                     {"backend", options.backend},
                                     {"buffers", options.private_buffers ? "private" : "shared"},
                                     {"ranks_per_node", options.ranks_per_node},
                                     {"ranks", world.size},
                                     {"nodes", world.nodes},
                                     {"oversubscribed", world.oversubscribed},
                                     {"iterations", options.iterations},
                                     {"aggregated", options.aggregated},
                                     {"results", nlohmann::ordered_json::array()}};
  for (const BenchRow& row : rows) document["results"].push_back(json_of(row, options));
  if (ways)
    document["ways"] = {{"shared_memory_bytes", ways->memory.count},
                        {"mpi_bytes", ways->outside.count}};
  document["out_of_bounds"] = wrong_in(rows);
  document["average_busbw"] = average_bus_bandwidth(rows);
  return document.dump(2) + "\n";
}

}  // namespace railwright::worker
