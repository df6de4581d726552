#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "topology/quantity.hpp"
#include "worker/run/run.hpp"
#include "worker/run/verdicts.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::ordered_json;

Json own_report(const World& world, const Part& part, const Record& record) {
  Json report = {{"rank", world.rank},          {"host", world.hosts[world.rank]},
                 {"wait_s", record.wait.value}, {"checked", record.checked},
                 {"wrong", record.wrong},       {"edges", edges_of(record.edges)}};
  report["kinds"] = Json::array();
  for (std::size_t i = 0; i < part.kinds.size(); ++i) {
    const Kind& kind = part.kinds[i];
    const KindRecord& seen = record.kinds[i];
    if (seen.calls == 0) continue;
    Json links = Json::array();
    for (const LinkBytes& link : kind.links)
      if (link.limits) links.push_back(part.cluster->graph.name_of(link.link));
    report["kinds"].push_back({{"group", to_string(kind.group.dimension)},
                               {"op", to_string(kind.operation)},
                               {"algorithm", algorithm_name(kind)},
                               {"bytes", kind.size.count},
                               {"ranks", kind.group.ranks},
                               {"class", kind.limiting_class},
                               {"links", links},
                               {"calls", seen.calls},
                               {"time_s", seen.time.value},
                               {"wait_s", seen.wait.value},
                               {"expected_s", kind.expected.value},
                               {"bound_s", kind.bound.value}});
  }
  return report;
}

// Sums over the ranks that make such calls; all members of a group see each call once.
struct Row {
  Json name;  // group, op, algorithm, bytes, ranks (their number)
  double calls = 0, time = 0, wait = 0, expected = 0, bound = 0;
};
using Rows = std::map<std::string, Row>;

Rows rows_of(const std::vector<Json>& reports) {
  Rows rows;
  for (const Json& report : reports)
    for (const Json& kind : report["kinds"]) {
      const std::string key =
          fmt::format("{} {} {:020}", kind["group"].get<std::string>(),
                      kind["op"].get<std::string>(), kind["bytes"].get<std::uint64_t>());
      Row& row = rows[key];
      row.name = {{"group", kind["group"]},
                  {"op", kind["op"]},
                  {"algorithm", kind["algorithm"]},
                  {"bytes", kind["bytes"]},
                  {"ranks", kind["ranks"].size()}};
      const double calls = kind["calls"];
      row.calls += calls;
      row.time += kind["time_s"].get<double>();
      row.wait += kind["wait_s"].get<double>();
      row.expected += calls * kind["expected_s"].get<double>();
      row.bound += calls * kind["bound_s"].get<double>();
    }
  return rows;
}

// Mean over calls and ranks, with the bandwidths of nccl-tests.
Json measured_row(const Row& row, bool opaque) {
  Json json = row.name;
  if (opaque) json["algorithm"] = "opaque";
  const double time = row.time / row.calls;
  const auto operation = *workload::parse_operation(json["op"].get<std::string>());
  const double bandwidth = time > 0 ? json["bytes"].get<double>() / time : 0;
  const int ranks = json["ranks"];
  json["calls"] = row.calls / ranks;
  json["time_s"] = time;
  json["wait_s"] = row.wait / row.calls;
  json["algbw_bytes_per_s"] = bandwidth;
  json["busbw_bytes_per_s"] =
      ranks > 1 ? bandwidth * collectives::bus_bandwidth_factor(operation, ranks) : 0.0;
  return json;
}

// What both ends of an edge have timed, together.
std::vector<Json> edge_rows(const std::vector<Json>& reports) {
  std::map<Json, Json> edges;
  for (const Json& report : reports)
    for (const Json& edge : report["edges"]) {
      const auto [place, fresh] = edges.try_emplace(edge["ranks"], edge);
      if (fresh) continue;
      for (const char* key : {"messages", "bytes"})
        place->second[key] = place->second[key].get<std::int64_t>() + edge[key].get<std::int64_t>();
      place->second["time_s"] =
          place->second["time_s"].get<double>() + edge["time_s"].get<double>();
    }
  std::vector<Json> rows;
  for (auto& [ranks, edge] : edges) {
    const double time = edge["time_s"];
    if (time > 0) edge["bandwidth_bytes_per_s"] = edge["bytes"].get<double>() / time;
    rows.push_back(edge);
  }
  return rows;
}

// Where an edge lies, as the plan places its ranks: the links of its routes, the class of the
// slowest, and in `path` all classes, so that edges can be told which are expected to be alike.
void add_places(std::vector<Json>& edges, const emulator::Plan& plan,
                const topology::Cluster& cluster) {
  const topology::Router router(cluster);
  const topology::Graph& graph = cluster.graph;
  const auto accelerator = [&](const Json& rank) {
    return emulator::accelerator_of(rank.get<int>(), plan.placement, plan.degrees);
  };
  for (Json& edge : edges) {
    edge["class"] = "";
    edge["links"] = Json::array();
    const auto route = router.between(accelerator(edge["ranks"][0]), accelerator(edge["ranks"][1]));
    std::vector<std::string> classes;
    double slowest = std::numeric_limits<double>::infinity();
    for (const topology::LinkShare& share : route.links) {
      edge["links"].push_back(graph.name_of(share.link));
      classes.push_back(graph.class_of(share.link).name);
      const double capacity = graph.capacity(share.link).bytes_per_second;
      if (std::exchange(slowest, std::min(slowest, capacity)) > capacity)
        edge["class"] = classes.back();
    }
    std::ranges::sort(classes);
    edge["path"] = fmt::format("{}", fmt::join(classes, " "));
  }
}

// Groups that are slower than their like, and edges that are.
Json slow_places(const std::vector<Json>& reports, const std::vector<Json>& edges,
                 const World& world) {
  const std::vector<Json> slow = slow_edges(edges, world.first_of);
  Json result = slow_links(reports, slow);
  for (const Json& edge : slow) result.push_back(edge);
  return result;
}

// With more ranks than cores nothing is judged: a late rank is one that had no core.
void add_edges(Json& document, const World& world, const std::vector<Json>& reports,
               const emulator::Plan& plan, const topology::Cluster& cluster) {
  std::vector<Json> edges = edge_rows(reports);
  add_places(edges, plan, cluster);
  document["edges"] = edges;
  document["slow_links"] =
      world.oversubscribed ? Json::array() : slow_places(reports, edges, world);
  document["judged_links"] =
      world.oversubscribed ? std::set<std::string>{} : judged_links(reports, edges, world.first_of);
}

std::vector<Json> gathered(const World& world, const Json& own) {
  std::vector<Json> reports;
  for (const std::string& text : gather_text(world, MPI_COMM_WORLD, own.dump()))
    reports.push_back(Json::parse(text));
  return reports;
}

// Links that set the pace of collectives: how long these took, and were expected to.
Json link_rows(const std::vector<Json>& reports) {
  std::map<std::string, std::pair<double, double>> links;
  for (const Json& report : reports)
    for (const Json& kind : report["kinds"])
      for (const Json& link : kind["links"]) {
        auto& [measured, expected] = links[link.get<std::string>()];
        measured += kind["time_s"].get<double>();
        expected += kind["calls"].get<double>() * kind["expected_s"].get<double>();
      }
  Json rows = Json::array();
  for (const auto& [name, times] : links)
    rows.push_back({{"name", name}, {"time_s", times.first}, {"expected_s", times.second}});
  return rows;
}

void add_verification(Json& document, const std::vector<Json>& reports) {
  std::uint64_t checked = 0, wrong = 0;
  for (const Json& report : reports) {
    checked += report["checked"].get<std::uint64_t>();
    wrong += report["wrong"].get<std::uint64_t>();
  }
  document["verification"] = {{"checked", checked}, {"wrong", wrong}};
}

Json document_of(const World& world, const std::vector<Json>& reports, const Part& part,
                 const std::vector<Seconds>& steps, const std::string& backend) {
  const bool opaque = is_opaque(backend);
  Json document = {{"backend", backend},
                   {"schedule", opaque ? "opaque" : "planned"},
                   {"ranks", world.size},
                   {"oversubscribed", world.oversubscribed}};
  for (const Seconds step : steps) document["steps"].push_back({{"step_time_s", step.value}});
  Json measured = {{"step_time_s", typical_step(steps).value}, {"collectives", Json::array()}};
  Json predicted = {{"step_time_s", part.plan.prediction.step_time.value},
                    {"collectives", Json::array()}};
  Json ratio = Json::object();
  if (predicted["step_time_s"] > 0)
    ratio["step_time_s"] =
        measured["step_time_s"].get<double>() / predicted["step_time_s"].get<double>();
  else
    predicted.erase("step_time_s");
  ratio["collectives"] = Json::array();
  Json bound = {{"collectives", Json::array()}};
  for (const auto& [key, row] : rows_of(reports)) {
    measured["collectives"].push_back(measured_row(row, opaque));
    Json expected = row.name;
    expected["time_s"] = row.expected / row.calls;
    predicted["collectives"].push_back(expected);
    Json compared = row.name;
    if (row.expected > 0) compared["time_s"] = row.time / row.expected;
    ratio["collectives"].push_back(compared);
    Json least = row.name;
    if (row.bound > 0) least["time_s"] = row.bound / row.calls;
    bound["collectives"].push_back(least);
  }
  for (const Json& report : reports) measured["rank_wait_s"].push_back(report["wait_s"]);
  document["measured"] = measured;
  document["predicted"] = predicted;
  document["ratio"] = ratio;
  document["bound"] = bound;
  document["links"] = link_rows(reports);
  add_edges(document, world, reports, part.plan, *part.cluster);
  document["slow_ranks"] = world.oversubscribed ? Json::array() : slow_ranks(reports, steps);
  add_verification(document, reports);
  return document;
}

std::string milliseconds(const Json& row, const char* key) {
  return row.contains(key) ? fmt::format("{:.3f}", row[key].get<double>() * 1e3) : "-";
}

std::string ratio_of(const Json& row, const char* key) {
  return row.contains(key) ? fmt::format("{:.2f}", row[key].get<double>()) : "-";
}

std::string collective_lines(const Json& document) {
  std::string text =
      fmt::format("{:<5} {:<14} {:<18} {:>10} {:>6} {:>12} {:>13} {:>9} {:>6} {:>10} {:>9}\n",
                  "group", "operation", "algorithm", "size", "calls", "measured ms", "predicted ms",
                  "bound ms", "ratio", "busbw GB/s", "wait ms");
  const Json& measured = document["measured"]["collectives"];
  // On virtual time nothing is compared with a bound.
  const Json bounds = document.contains("bound") ? document["bound"]["collectives"] : Json();
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const Json& row = measured[i];
    text +=
        fmt::format("{:<5} {:<14} {:<18} {:>10} {:>6} {:>12} {:>13} {:>9} {:>6} {:>10.2f} {:>9}\n",
                    row["group"].get<std::string>(), row["op"].get<std::string>(),
                    row["algorithm"].get<std::string>(),
                    railwright::to_string(Bytes{row["bytes"].get<std::uint64_t>()}),
                    row["calls"].get<double>(), milliseconds(row, "time_s"),
                    milliseconds(document["predicted"]["collectives"][i], "time_s"),
                    milliseconds(bounds.empty() ? Json() : bounds[i], "time_s"),
                    ratio_of(document["ratio"]["collectives"][i], "time_s"),
                    row["busbw_bytes_per_s"].get<double>() / 1e9, milliseconds(row, "wait_s"));
  }
  return text;
}

std::string slow_line(const Json& link) {
  const std::string text = fmt::format("slow: a {} link between ranks {}",
                                       link["class"].get<std::string>(), link["ranks"].dump());
  if (!link.contains("bandwidth_bytes_per_s")) return text + "\n";
  return fmt::format("{}: {:.3g} GB/s, usual are {:.3g} GB/s\n", text,
                     link["bandwidth_bytes_per_s"].get<double>() / 1e9,
                     link["usual_bytes_per_s"].get<double>() / 1e9);
}

}  // namespace

nlohmann::ordered_json edges_of(const std::vector<EdgeTotal>& totals) {
  Json edges = Json::array();
  for (const EdgeTotal& edge : totals)
    edges.push_back({{"ranks", {edge.source, edge.target}},
                     {"source", "measured"},
                     {"messages", edge.messages},
                     {"bytes", edge.bytes.count},
                     {"time_s", edge.busy.value}});
  return edges;
}

Seconds typical_step(std::vector<Seconds> steps) {
  if (steps.size() > 1) steps.erase(steps.begin());
  std::vector<double> times;
  for (const Seconds step : steps) times.push_back(step.value);
  return {median(std::move(times))};
}

std::string report_json(const World& world, const Part& part, const Record& record,
                        const std::string& backend) {
  const std::vector<Json> reports = gathered(world, own_report(world, part, record));
  if (!world.first()) return {};
  return document_of(world, reports, part, record.steps, backend).dump(2) + "\n";
}

nlohmann::ordered_json judged(const World& world, const emulator::Plan& plan,
                              const topology::Cluster& cluster, const Timed& timed,
                              const std::vector<Seconds>& steps) {
  const Json own = {{"rank", world.rank},
                    {"host", world.hosts[world.rank]},
                    {"wait_s", timed.wait.value},
                    {"kinds", Json::array()},
                    {"edges", edges_of(timed.edges)}};
  const std::vector<Json> reports = gathered(world, own);
  Json document = Json::object();
  if (!world.first()) return document;
  for (const Json& report : reports) document["rank_wait_s"].push_back(report["wait_s"]);
  add_edges(document, world, reports, plan, cluster);
  document["slow_ranks"] = world.oversubscribed ? Json::array() : slow_ranks(reports, steps);
  return document;
}

std::string slow_text(const nlohmann::ordered_json& document) {
  std::string text;
  for (const Json& rank : document["slow_ranks"])
    text += fmt::format("slow: rank {} on {}, {:.1f} ms late in all\n", rank["rank"].get<int>(),
                        rank["host"].get<std::string>(), rank["late_s"].get<double>() * 1e3);
  for (const Json& link : document["slow_links"]) text += slow_line(link);
  return text;
}

std::string report_text(const std::string& json) {
  const Json document = Json::parse(json);
  std::string text =
      fmt::format("{} ranks, backend {}, schedule {}, {} steps\n", document["ranks"].get<int>(),
                  document["backend"].get<std::string>(), document["schedule"].get<std::string>(),
                  document["steps"].size());
  if (!document["measured"]["collectives"].empty()) text += collective_lines(document);
  text += fmt::format(
      "step: measured {} ms, predicted {} ms, ratio {}{}\n",
      milliseconds(document["measured"], "step_time_s"),
      milliseconds(document["predicted"], "step_time_s"),
      ratio_of(document["ratio"], "step_time_s"),
      document["oversubscribed"].get<bool>() ? " (not judged: more ranks than cores)" : "");
  const Json& waits = document["measured"]["rank_wait_s"];
  text += "wait per rank, ms:";
  constexpr std::size_t shown = 64;
  for (std::size_t i = 0; i < std::min(waits.size(), shown); ++i)
    text += fmt::format(" {:.2f}", waits[i].get<double>() * 1e3);
  text += waits.size() > shown ? " ... (all in --json)\n" : "\n";
  text += slow_text(document);
  const Json& verification = document["verification"];
  text += fmt::format("checked {} results: {} wrong elements\n",
                      verification["checked"].get<std::uint64_t>(),
                      verification["wrong"].get<std::uint64_t>());
  return text;
}

}  // namespace railwright::worker
