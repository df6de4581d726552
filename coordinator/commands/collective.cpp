// `railwright collective`: one collective on a described cluster, or a sweep over sizes that reads
// like nccl-tests.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <numeric>

#include "collectives/bound.hpp"
#include "collectives/nccl.hpp"
#include "coordinator/console.hpp"
#include "emulator/collective.hpp"

namespace railwright::coordinator {

namespace {

using collectives::Schedule;
namespace nccl = collectives::nccl;
using emulator::CollectiveResult;
using emulator::Detail;

constexpr int most_sizes = 1000;
constexpr std::int64_t most_sends = 20'000'000;         // by steps: some 4 GB
constexpr std::size_t most_bound_links = 64;            // by name in --json
constexpr std::int64_t most_connections = 100'000'000;  // of one step, by phases

struct Options {
  std::string cluster, operation = "all_reduce", algorithm = "auto", detail = "automatic", faults;
  std::string bytes, begin, end;
  double factor = 2;
  int ranks = 0;
  bool json = false;
};

// What was asked for, checked.
struct Request {
  topology::Cluster cluster;
  collectives::Operation operation;
  std::optional<collectives::Algorithm> algorithm;  // absent: the fastest for each size
  Detail detail = Detail::automatic;
  std::vector<Bytes> sizes;
  bool sweep = false;
  std::vector<topology::AcceleratorId> members;
  emulator::StepFaults faults;
};

struct Row {
  Schedule schedule;
  Bytes size;
  CollectiveResult result;
  std::optional<collectives::Bound> bound;  // absent: too large to know
  std::optional<nccl::Choice> nccl_takes;   // absent: no model of this machine or operation

  double bound_s() const {
    return collectives::bound_time(*bound, schedule.operation, schedule.ranks, size).value;
  }
  double time_s() const { return in_seconds(result.time).value; }
  double algbw() const { return time_s() > 0 ? static_cast<double>(size.count) / time_s() : 0; }
  double busbw() const {
    return algbw() * collectives::bus_bandwidth_factor(schedule.operation, schedule.ranks);
  }
};

constexpr const char* footer =
    R"(Sizes read as in nccl-tests: 8, 128M, 1GiB; K, M and G alone are powers of 1024.
For all-gather, reduce-scatter and all-to-all the size is the whole vector of a rank;
send goes from the first rank to the last.
Example:
  railwright collective --cluster dgx-h100 --op all_reduce --bytes 1GiB --ranks 32
  railwright collective --cluster dgx-h100 --op all_gather --begin 8 --end 16G --factor 2
Exit status: 0 ok, 2 invalid input.)";

void add_options(CLI::App& command, Options& options) {
  command.add_option("--cluster", options.cluster, "cluster.yaml, or a catalogue name")->required();
  command
      .add_option("--op", options.operation,
                  "all_reduce, reduce_scatter, all_gather, broadcast, all_to_all or send")
      ->capture_default_str();
  command.add_option("--bytes", options.bytes, "size of the message");
  command.add_option("--begin", options.begin, "smallest size of a sweep");
  command.add_option("--end", options.end, "largest size of a sweep");
  command.add_option("--factor", options.factor, "from one size of a sweep to the next")
      ->capture_default_str();
  command.add_option("--ranks", options.ranks, "the first accelerators, one rank each [all]");
  command
      .add_option("--algorithm", options.algorithm,
                  "auto, ring, tree, halving_doubling, hierarchical or direct")
      ->capture_default_str();
  command.add_option("--faults", options.faults, "faults.yaml: links that are degraded");
  command
      .add_option("--detail", options.detail,
                  "steps: every send; phases: one variable for equal steps; automatic: by number")
      ->capture_default_str();
  command.add_flag("--json", options.json, "one JSON document on stdout");
  command.footer(footer);
}

void add_error(Errors& errors, const std::string& option, ConfigError error) {
  error.message = option + ": " + error.message;
  errors.push_back(std::move(error));
}

template <class T>
T taken(tl::expected<T, ConfigError> parsed, const std::string& option, Errors& errors) {
  if (parsed) return *parsed;
  add_error(errors, option, std::move(parsed.error()));
  return {};
}

tl::expected<Detail, ConfigError> parse_detail(std::string_view text) {
  if (text == "automatic") return Detail::automatic;
  if (text == "steps") return Detail::steps;
  if (text == "phases") return Detail::phases;
  return tl::unexpected(ConfigError{
      {}, fmt::format("unknown detail '{}'", text), "write automatic, steps or phases"});
}

// begin, begin x factor, ... up to the end, each in whole bytes and larger than the one before.
void add_sweep(const Options& options, Request& request, Errors& errors) {
  const Bytes begin = taken(parse_message_size(options.begin), "--begin", errors);
  const Bytes end = taken(parse_message_size(options.end), "--end", errors);
  if (!errors.empty()) return;
  if (end < begin)
    return add_error(errors, "--end", {{}, "is smaller than --begin", "swap the two"});
  if (!(options.factor > 1))
    return add_error(errors, "--factor", {{}, "the sizes would not grow", "write 2"});
  double size = static_cast<double>(std::max<std::uint64_t>(begin.count, 1));
  for (; size <= static_cast<double>(end.count); size *= options.factor) {
    const Bytes whole{static_cast<std::uint64_t>(size)};
    if (request.sizes.empty() || request.sizes.back() < whole) request.sizes.push_back(whole);
    if (request.sizes.size() > most_sizes)
      return add_error(errors, "--factor",
                       {{}, fmt::format("more than {} sizes", most_sizes), "write 2"});
  }
}

void read_sizes(const Options& options, Request& request, Errors& errors) {
  request.sweep = !options.begin.empty() || !options.end.empty();
  const bool whole_sweep = !options.begin.empty() && !options.end.empty();
  if (request.sweep != options.bytes.empty() || request.sweep != whole_sweep)
    errors.push_back({{},
                      "one size or one sweep is needed",
                      "write --bytes 1GiB, or --begin 8 --end 16G --factor 2"});
  else if (request.sweep)
    add_sweep(options, request, errors);
  else
    request.sizes = {taken(parse_message_size(options.bytes), "--bytes", errors)};
}

void read_members(const Options& options, bool given, Request& request, Errors& errors) {
  const int all = request.cluster.accelerators();
  const int ranks = given ? options.ranks : all;
  if (ranks < 2 || ranks > all)
    return add_error(errors, "--ranks",
                     {{},
                      fmt::format("{} ranks on a cluster of {} accelerators", ranks, all),
                      all < 2 ? "a collective needs two" : fmt::format("write 2 to {}", all)});
  for (int i = 0; i < ranks; ++i) request.members.push_back({i});
}

void read_faults(const std::string& path, Request& request, Errors& errors) {
  if (path.empty()) return;
  auto step = emulator::load_faults(path, request.cluster).and_then([&](const auto& faults) {
    return emulator::step_faults(faults, request.cluster);
  });
  if (!step) {
    errors.insert(errors.end(), step.error().begin(), step.error().end());
    return;
  }
  request.faults = std::move(*step);
  if (!request.faults.accelerators.empty())
    std::cerr << "note: slow accelerators slow a step, not a collective by itself\n";
}

Result<Request> request_of(const Options& options, bool ranks_given) {
  Errors errors;
  Request request;
  request.operation = taken(workload::parse_operation(options.operation), "--op", errors);
  if (options.algorithm != "auto")
    request.algorithm =
        taken(collectives::parse_algorithm(options.algorithm), "--algorithm", errors);
  request.detail = taken(parse_detail(options.detail), "--detail", errors);
  read_sizes(options, request, errors);
  auto cluster = topology::load_cluster(options.cluster);
  if (cluster) {
    request.cluster = std::move(*cluster);
    read_members(options, ranks_given, request, errors);
    read_faults(options.faults, request, errors);
  } else {
    errors.insert(errors.end(), cluster.error().begin(), cluster.error().end());
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return request;
}

Schedule schedule_of(const Request& request, Bytes size, const topology::Router& router) {
  const topology::Calibration& calibration = topology::default_calibration();
  if (request.algorithm)
    return collectives::schedule_for(request.operation, *request.algorithm, request.members,
                                     request.cluster);
  return collectives::best_schedule(request.operation, size, request.members, router, calibration);
}

// Even if everything crossed the slowest link twice, as slow as the faults make it.
bool may_outlast_event_time(const Schedule& schedule, Bytes size, const Request& request) {
  const std::vector<topology::LinkClass>& classes = request.cluster.graph.classes;
  Bandwidth slowest = classes.front().capacity;
  for (const topology::LinkClass& link : classes) slowest = std::min(slowest, link.capacity);
  double factor = 1;
  for (const auto& fault : request.faults.links) factor *= fault.factor;
  const Seconds limit = 0.5 * in_seconds(Picoseconds{INT64_MAX});
  return 2.0 * schedule.ranks * (size / (factor * slowest)) > limit;
}

// Empty when the schedule exists and this machine can hold it.
std::string refusal_of(const Schedule& schedule, Detail detail) {
  if (const std::string why = collectives::why_not(schedule); !why.empty()) return why;
  const std::int64_t sends = emulator::send_estimate(schedule);
  if (detail == Detail::steps && sends > most_sends)
    return fmt::format("{} sends are too many to emulate one by one", sends);
  const std::int64_t connections =
      std::int64_t{schedule.ranks} * collectives::channel_count(schedule);
  if (connections > most_connections)
    return fmt::format("{} connections at once are too many", connections);
  return {};
}

// What NCCL would do with these ranks, where data describe the machine.
std::optional<nccl::Choice> nccl_choice(const Request& request,
                                        const std::optional<nccl::Placement>& placement,
                                        Bytes size) {
  if (!placement) return {};
  return nccl::predict(
      nccl::newest_constants(), *placement->platform,
      {request.operation, size, static_cast<int>(request.members.size()), placement->nodes});
}

Result<std::vector<Row>> run_all(const Request& request) {
  const topology::Router router(request.cluster);
  const auto progress = progress_bar("emulating");
  const auto placement = nccl::placement_of(request.cluster, request.members);
  std::optional<collectives::Bound> bound;
  std::vector<Row> rows;
  for (const Bytes size : request.sizes) {
    const Schedule schedule = schedule_of(request, size, router);
    if (const std::string why = refusal_of(schedule, request.detail); !why.empty())
      return failure({}, why, "choose another --algorithm, --detail or fewer --ranks");
    if (may_outlast_event_time(schedule, size, request))
      return failure({},
                     fmt::format("{} could take longer than event time, 106 days", to_string(size)),
                     "write a smaller --bytes or --end");
    if (rows.empty())  // the same for every size
      bound = collectives::bound_of(request.operation, request.members, request.cluster);
    emulator::CollectiveRun run{schedule,       size, request.members,
                                request.detail, {},   request.faults};
    rows.push_back({schedule, size,
                    emulator::emulate_collective(run, router, topology::default_calibration()),
                    bound, nccl_choice(request, placement, size)});
    progress(static_cast<double>(rows.size()) / static_cast<double>(request.sizes.size()));
  }
  return rows;
}

std::int64_t steps_of(const Schedule& schedule) {
  const auto phases = collectives::phases_of(schedule);
  return std::accumulate(phases.begin(), phases.end(), std::int64_t{0},
                         [](std::int64_t sum, const auto& phase) { return sum + phase.steps; });
}

Json json_of_bound(const Row& row, const topology::Graph& graph) {
  const std::vector<topology::LinkId>& links = row.bound->links;
  Json names = Json::array();
  for (std::size_t i = 0; i < std::min(links.size(), most_bound_links); ++i)
    names.push_back(graph.name_of(links[i]));
  return {{"time_s", row.bound_s()},
          {"cut", row.bound->cut},
          {"links", std::move(names)},
          {"links_total", links.size()}};
}

Json json_of_nccl(const nccl::Choice& choice) {
  return {{"time_s", choice.time().value},
          {"algorithm", to_string(choice.algorithm)},
          {"protocol", to_string(choice.protocol)},
          {"version", nccl::newest_constants().version}};
}

Json json_of(const Row& row, const topology::Graph& graph) {
  const CollectiveResult& result = row.result;
  Json json{{"op", to_string(row.schedule.operation)},
            {"algorithm", to_string(row.schedule.algorithm)},
            {"ranks", row.schedule.ranks},
            {"bytes", row.size.count},
            {"time_s", row.time_s()},
            {"algbw_bytes_per_s", row.algbw()},
            {"busbw_bytes_per_s", row.busbw()},
            {"limiting_link_class", result.limiting_link_class}};
  if (result.limiting_link.index >= 0) json["limiting_link"] = graph.name_of(result.limiting_link);
  if (row.bound) json["bound"] = json_of_bound(row, graph);
  if (row.nccl_takes) json["nccl"] = json_of_nccl(*row.nccl_takes);
  json["channels"] = collectives::channel_count(row.schedule);
  json["steps"] = steps_of(row.schedule);
  json["detail"] = result.stepwise ? "steps" : "phases";
  json["events"] = result.events;
  return json;
}

void print_results(const std::vector<Row>& rows, const Request& request, const Stopwatch& watch) {
  Json json;
  if (request.sweep) {
    json["op"] = to_string(request.operation);
    json["ranks"] = request.members.size();
    for (const Row& row : rows) json["results"].push_back(json_of(row, request.cluster.graph));
  } else {
    json = json_of(rows.front(), request.cluster.graph);
  }
  json["wall_s"] = watch.wall_s();
  json["peak_rss_bytes"] = Stopwatch::peak_rss_bytes();
  print_json(json);
}

void print_table(const std::vector<Row>& rows, const Request& request) {
  const topology::Graph& graph = request.cluster.graph;
  std::vector<std::vector<std::string>> cells = {{"size(B)", "algorithm", "time(us)", "algbw(GB/s)",
                                                  "busbw(GB/s)", "bound(us)", "NCCL(us)",
                                                  "NCCL takes", "detail", "limited by"}};
  double busbw = 0;
  for (const Row& row : rows) {
    const topology::LinkId link = row.result.limiting_link;
    cells.push_back({std::to_string(row.size.count), to_string(row.schedule.algorithm),
                     fmt::format("{:.2f}", in_microseconds({row.time_s()})),
                     fmt::format("{:.2f}", in_gigabytes_per_second({row.algbw()})),
                     fmt::format("{:.2f}", in_gigabytes_per_second({row.busbw()})),
                     row.bound ? fmt::format("{:.2f}", in_microseconds({row.bound_s()})) : "-",
                     row.nccl_takes ? fmt::format("{:.2f}", row.nccl_takes->microseconds) : "-",
                     row.nccl_takes ? fmt::format("{}/{}", to_string(row.nccl_takes->algorithm),
                                                  to_string(row.nccl_takes->protocol))
                                    : "-",
                     row.result.stepwise ? "steps" : "phases",
                     link.index < 0 ? "latency"
                                    : fmt::format("{} ({})", row.result.limiting_link_class,
                                                  graph.name_of(link))});
    busbw += row.busbw() / static_cast<double>(rows.size());
  }
  std::cout << fmt::format("# {} over {} ranks of {}, emulated\n", to_string(request.operation),
                           request.members.size(), request.cluster.spec.name)
            << table(cells)
            << (rows.front().bound ? fmt::format("# Bound: {}\n", rows.front().bound->cut) : "")
            << fmt::format("# Avg bus bandwidth: {:.3f} GB/s\n", in_gigabytes_per_second({busbw}));
}

int run(const Options& options, bool ranks_given) {
  const Stopwatch watch;
  const auto request = request_of(options, ranks_given);
  if (!request) return report(request.error());
  const auto rows = run_all(*request);
  if (!rows) return report(rows.error());
  if (options.json)
    print_results(*rows, *request, watch);
  else
    print_table(*rows, *request);
  return exit_ok;
}

}  // namespace

void add_collective_command(CommandLine& line) {
  auto options = std::make_shared<Options>();
  CLI::App* command = line.app.add_subcommand(
      "collective", "Emulate one collective on a cluster, or a sweep over sizes");
  add_options(*command, *options);
  command->callback([&line, options, command] {
    const bool ranks_given = command->count("--ranks") > 0;
    line.run = [options, ranks_given] { return coordinator::run(*options, ranks_given); };
  });
}

}  // namespace railwright::coordinator
