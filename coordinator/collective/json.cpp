#include <algorithm>
#include <numeric>

#include "coordinator/collective/output.hpp"

namespace railwright::coordinator {
namespace {

namespace nccl = collectives::nccl;

constexpr std::size_t most_bound_links = 64;  // by name

std::int64_t steps_of(const collectives::Schedule& schedule) {
  const auto phases = collectives::phases_of(schedule);
  return std::accumulate(phases.begin(), phases.end(), std::int64_t{0},
                         [](std::int64_t sum, const auto& phase) { return sum + phase.steps; });
}

Json json_of_bound(const collectives::Bound& bound, Seconds time, const topology::Graph& graph) {
  Json names = Json::array();
  for (std::size_t i = 0; i < std::min(bound.links.size(), most_bound_links); ++i)
    names.push_back(graph.name_of(bound.links[i]));
  return {{"time_s", time.value},
          {"cut", bound.cut},
          {"links", std::move(names)},
          {"links_total", bound.links_total}};
}

Json json_of_nccl(const nccl::Choice& choice, const nccl::Constants& constants) {
  return {{"time_s", choice.time().value},
          {"algorithm", to_string(choice.algorithm)},
          {"protocol", to_string(choice.protocol)},
          {"version", constants.version}};
}

void add_schedule(Json& json, const collectives::Schedule& schedule) {
  json["channels"] = collectives::channel_count(schedule);
  json["chunks"] = collectives::chunk_count(schedule);
  json["segments"] = schedule.segments;
  json["steps"] = steps_of(schedule);
}

Json json_of(const CollectiveRequest& request, const Sweep& sweep, const Row& row) {
  const topology::Graph& graph = request.cluster.graph;
  Json json{{"op", to_string(request.operation)},
            {"algorithm", to_string(row.schedule().algorithm)},
            {"ranks", request.ranks()},
            {"bytes", row.size.sent.count}};
  if (row.size.asked != row.size.sent) json["asked_bytes"] = row.size.asked.count;
  json["count"] = count_of(request, row.size.sent);
  json["type"] = request.type.name;
  if (request.shuffled) json["placement"] = "random:" + std::to_string(*request.shuffled);
  if (request.has_root()) json["root"] = request.root;
  json["time_s"] = row.time().value;
  json["algbw_bytes_per_s"] = row.algbw().bytes_per_second;
  json["busbw_bytes_per_s"] = row.busbw().bytes_per_second;
  json["expected_s"] = row.expected.value;
  json["limiting_link_class"] = row.result.limiting_link_class;
  if (row.result.limiting_link.index >= 0)
    json["limiting_link"] = graph.name_of(row.result.limiting_link);
  if (!row.choice.by.empty()) {
    json["chosen_by"] = row.choice.by;
    json["chosen_because"] = row.choice.why;
  }
  if (row.nccl_takes) json["nccl"] = json_of_nccl(*row.nccl_takes, *request.nccl_constants);
  if (const auto& bound = sweep.bound_of(row)) {
    json["bound"] = json_of_bound(*bound, *sweep.bound_time(row), graph);
    json["bound"]["in_network"] = collectives::switch_count(row.schedule()) > 0;
  }
  if (sweep.attainable)
    json["attainable"] = {{"time_s", sweep.attainable_time(row)->value},
                          {"how", sweep.attainable->how},
                          {"exact", sweep.attainable->exact}};
  add_schedule(json, row.schedule());
  json["detail"] = row.result.stepwise ? "steps" : "phases";
  json["events"] = row.result.events;
  return json;
}

}  // namespace

Json sweep_json(const CollectiveRequest& request, const Sweep& sweep) {
  if (sweep.rows.size() == 1 && !request.sweeps()) return json_of(request, sweep, sweep.rows[0]);
  Json json{
      {"op", to_string(request.operation)}, {"ranks", request.ranks()}, {"results", Json::array()}};
  for (const Row& row : sweep.rows) {
    json["results"].push_back(json_of(request, sweep, row));
    if (request.wanted.size() > 1) json["results"].back()["asked"] = row.wanted.word;
  }
  return json;
}

}  // namespace railwright::coordinator
