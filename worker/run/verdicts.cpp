#include "worker/run/verdicts.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>

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

// Edges that are expected to be alike: over links of the same classes, both inside a machine or
// both between machines, with messages of about one size. Where there are at least three.
std::vector<std::vector<Json>> comparable_edges(const std::vector<Json>& edges,
                                                const std::vector<int>& first_of) {
  constexpr std::size_t fewest = 3;
  std::map<std::tuple<std::string, bool, int>, std::vector<Json>> alike;
  for (const Json& edge : edges) {
    if (!edge.contains("bandwidth_bytes_per_s")) continue;
    const auto machine = [&](int end) {
      return first_of[edge["ranks"][static_cast<std::size_t>(end)].get<std::size_t>()];
    };
    const double size = edge["bytes"].get<double>() / edge["messages"].get<double>();
    const int magnitude = static_cast<int>(std::log2(size) / 2);
    alike[{edge.value("path", ""), machine(0) == machine(1), magnitude}].push_back(edge);
  }
  std::vector<std::vector<Json>> groups;
  for (auto& [kind, group] : alike)
    if (group.size() >= fewest) groups.push_back(std::move(group));
  return groups;
}

std::set<std::string> links_of(const Json& edge) {
  std::set<std::string> links;
  for (const Json& link : edge.value("links", Json::array())) links.insert(link);
  return links;
}

constexpr double tolerated_share = 0.5;  // of the usual bandwidth

bool is_slow(const Json& edge, double usual) {
  return edge["bandwidth_bytes_per_s"].get<double>() < tolerated_share * usual;
}

double usual_bandwidth(const std::vector<Json>& edges) {
  std::vector<double> all;
  for (const Json& edge : edges) all.push_back(edge["bandwidth_bytes_per_s"]);
  return median(all);
}

// Links that edges of at least the usual bandwidth lie on.
std::set<std::string> healthy_links(const std::vector<std::vector<Json>>& groups) {
  std::set<std::string> healthy;
  for (const auto& group : groups)
    for (const Json& edge : group)
      if (!is_slow(edge, usual_bandwidth(group))) healthy.merge(links_of(edge));
  return healthy;
}

}  // namespace

std::vector<Json> slow_edges(const std::vector<Json>& edges, const std::vector<int>& first_of) {
  const auto groups = comparable_edges(edges, first_of);
  const auto healthy = healthy_links(groups);
  std::vector<Json> slow;
  for (const auto& group : groups) {
    const double usual = usual_bandwidth(group);
    for (const Json& edge : group) {
      if (!is_slow(edge, usual)) continue;
      Json verdict = edge;
      verdict["links"] = Json::array();
      for (const std::string& link : links_of(edge))
        if (!healthy.contains(link)) verdict["links"].push_back(link);
      verdict["usual_bytes_per_s"] = usual;
      verdict["usual_s"] = edge["bytes"].get<double>() / usual;
      slow.push_back(std::move(verdict));
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

std::set<std::string> judged_links(const std::vector<Json>& reports, const std::vector<Json>& edges,
                                   const std::vector<int>& first_of) {
  std::set<std::string> links = healthy_links(comparable_edges(edges, first_of));
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
