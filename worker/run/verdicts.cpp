#include "worker/run/verdicts.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace railwright::worker {
namespace {

using Json = nlohmann::ordered_json;

// Groups that do the same thing on different links: one that takes far longer than most has a slow
// link of the class that limits it, one of those that its ranks send over.
struct GroupTime {
  double time = 0;
  Json kind, links = Json::array();
};

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Where the others wait for a rank, it waits less than they do.
Json slow_ranks(const std::vector<Json>& reports, const std::vector<Seconds>& steps) {
  constexpr double tolerated = 0.1;  // of the run's time
  std::vector<double> waits;
  for (const Json& report : reports) waits.push_back(report["wait_s"]);
  double total = 0;
  for (const Seconds step : steps) total += step.value;
  Json result = Json::array();
  for (const Json& report : reports) {
    const double late = median(waits) - report["wait_s"].get<double>();
    if (late > tolerated * total)
      result.push_back({{"rank", report["rank"]}, {"host", report["host"]}, {"late_s", late}});
  }
  return result;
}

namespace {

// Edges inside a machine or between machines, by the magnitude of their messages; where there are
// at least three.
std::vector<std::vector<Json>> comparable_edges(const std::vector<Json>& edges,
                                                const std::vector<int>& first_of) {
  constexpr std::size_t fewest = 3;
  std::map<std::pair<bool, int>, std::vector<Json>> alike;
  for (const Json& edge : edges) {
    if (!edge.contains("bandwidth_bytes_per_s")) continue;
    const auto machine = [&](int end) {
      return first_of[edge["ranks"][static_cast<std::size_t>(end)].get<std::size_t>()];
    };
    const double size = edge["bytes"].get<double>() / edge["messages"].get<double>();
    const int magnitude = static_cast<int>(std::log2(size) / 2);
    alike[{machine(0) == machine(1), magnitude}].push_back(edge);
  }
  std::vector<std::vector<Json>> groups;
  for (auto& [kind, group] : alike)
    if (group.size() >= fewest) groups.push_back(std::move(group));
  return groups;
}

}  // namespace

std::vector<Json> judged_edges(const std::vector<Json>& edges, const std::vector<int>& first_of) {
  std::vector<Json> judged;
  for (const auto& group : comparable_edges(edges, first_of))
    judged.insert(judged.end(), group.begin(), group.end());
  return judged;
}

std::vector<Json> slow_edges(const std::vector<Json>& edges, const std::vector<int>& first_of) {
  constexpr double tolerated = 2;
  std::vector<Json> slow;
  for (auto& group : comparable_edges(edges, first_of)) {
    std::vector<double> all;
    for (const Json& edge : group) all.push_back(edge["bandwidth_bytes_per_s"]);
    const double usual = median(all);
    for (Json& edge : group) {
      if (tolerated * edge["bandwidth_bytes_per_s"].get<double>() >= usual) continue;
      edge["usual_bytes_per_s"] = usual;
      edge["usual_s"] = edge["bytes"].get<double>() / usual;
      slow.push_back(edge);
    }
  }
  return slow;
}

namespace {

// Groups by their ranks, by the collective that they make; where there are at least three: two
// differ, but which is right?
std::map<std::string, std::map<Json, GroupTime>> comparable(const std::vector<Json>& reports) {
  std::map<std::string, std::map<Json, GroupTime>> times;
  for (const Json& report : reports)
    for (const Json& kind : report["kinds"]) {
      const std::string key = kind["group"].dump() + kind["op"].dump() + kind["bytes"].dump();
      const double time = kind["time_s"].get<double>() / kind["calls"].get<double>();
      GroupTime& group = times[key][kind["ranks"]];
      group.time = std::max(group.time, time);
      group.kind = kind;
      for (const Json& link : kind["links"]) group.links.push_back(link);
    }
  std::erase_if(times, [](const auto& entry) { return entry.second.size() < 3; });
  return times;
}

// The first slow edge between two ranks of the group.
void add_edge_inside(Json& verdict, const std::vector<Json>& edges) {
  const Json& ranks = verdict["ranks"];
  const auto among = [&](const Json& rank) { return std::ranges::count(ranks, rank) > 0; };
  for (const Json& edge : edges)
    if (among(edge["ranks"][0]) && among(edge["ranks"][1])) {
      verdict["edge"] = edge["ranks"];
      return;
    }
}

}  // namespace

std::set<std::string> judged_links(const std::vector<Json>& reports) {
  std::set<std::string> links;
  for (const auto& [key, groups] : comparable(reports))
    for (const auto& [ranks, entry] : groups)
      for (const Json& link : entry.links) links.insert(link.get<std::string>());
  return links;
}

Json slow_links(const std::vector<Json>& reports, const std::vector<Json>& edges) {
  constexpr double tolerated = 1.5;
  Json result = Json::array();
  for (const auto& [key, groups] : comparable(reports)) {
    std::vector<double> all;
    for (const auto& [ranks, entry] : groups) all.push_back(entry.time);
    for (const auto& [ranks, entry] : groups) {
      if (entry.time <= tolerated * median(all)) continue;
      Json verdict = {
          {"class", entry.kind["class"]}, {"links", entry.links}, {"ranks", ranks},
          {"op", entry.kind["op"]},       {"time_s", entry.time}, {"usual_s", median(all)}};
      add_edge_inside(verdict, edges);
      result.push_back(verdict);
    }
  }
  return result;
}

}  // namespace railwright::worker
