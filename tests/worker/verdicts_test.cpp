#include "worker/run/verdicts.hpp"

#include <catch2/catch.hpp>

namespace railwright::worker {
namespace {

using Json = nlohmann::ordered_json;

// A rank of a pair {2g, 2g + 1} that makes ten all-reduces of `time` seconds each.
Json report_of(int rank, double time, double wait) {
  const int first = rank / 2 * 2;
  const std::string host = "node" + std::to_string(rank / 2);
  Json kind = {{"group", "dp"}, {"op", "all_reduce"}, {"bytes", 1024}, {"class", "rail"}};
  kind["ranks"] = std::vector{first, first + 1};
  kind["links"] = std::vector{host + "/nic0->leaf0"};
  kind["calls"] = 10;
  kind["time_s"] = 10 * time;
  Json report = {{"rank", rank}, {"host", host}, {"wait_s", wait}};
  report["kinds"].push_back(kind);
  return report;
}

std::vector<Json> reports_of(const std::vector<double>& times) {
  std::vector<Json> reports;
  for (int rank = 0; rank < 2 * static_cast<int>(times.size()); ++rank)
    reports.push_back(report_of(rank, times[rank / 2], 0.5));
  return reports;
}

TEST_CASE("a group that takes longer than groups like it has a slow link, named with its class") {
  const Json slow = slow_links(reports_of({0.010, 0.011, 0.020, 0.009}));
  REQUIRE(slow.size() == 1);
  CHECK(slow[0]["class"] == "rail");
  CHECK(slow[0]["ranks"] == Json({4, 5}));
  CHECK(slow[0]["links"][0] == "node2/nic0->leaf0");
  CHECK(slow[0]["time_s"] == Approx(0.020));
}

TEST_CASE("groups within the tolerance, or too few to compare, have none") {
  CHECK(slow_links(reports_of({0.010, 0.011, 0.014, 0.009})).empty());
  CHECK(slow_links(reports_of({0.010, 0.100})).empty());
  CHECK(judged_links(reports_of({0.010, 0.100})).empty());
  CHECK_FALSE(judged_links(reports_of({0.010, 0.011, 0.014})).empty());
  CHECK(slow_links(reports_of({0.100, 0.100, 0.100})).empty());
}

Json edge_of(int source, int target, double bandwidth, std::int64_t size = 1 << 20) {
  return {{"ranks", {source, target}},
          {"messages", 10},
          {"bytes", 10 * size},
          {"bandwidth_bytes_per_s", bandwidth}};
}

TEST_CASE("an edge with less than half of what edges like it carry is slow, whatever its group") {
  const std::vector<int> one_machine = {0, 0, 0, 0};
  const auto slow = slow_edges(
      {edge_of(0, 1, 1e9), edge_of(1, 2, 1.1e9), edge_of(2, 3, 2e7), edge_of(3, 0, 0.9e9)},
      one_machine);
  REQUIRE(slow.size() == 1);
  CHECK(slow[0]["ranks"] == Json({2, 3}));
  CHECK(slow[0]["usual_bytes_per_s"] == 1e9);
  CHECK(slow[0]["usual_s"].get<double>() == Approx(10 * (1 << 20) / 1e9));
  const Json groups = slow_links(reports_of({0.010, 0.020, 0.010, 0.009}), slow);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0]["edge"] == Json({2, 3}));
  CHECK_FALSE(slow_links(reports_of({0.020, 0.010, 0.010, 0.009}), slow)[0].contains("edge"));
}

TEST_CASE("edges between machines and edges of small messages are compared among themselves") {
  const std::vector<int> two_machines = {0, 0, 2, 2};
  std::vector<Json> edges = {edge_of(0, 1, 1e10),       edge_of(1, 0, 1e10), edge_of(2, 3, 1e10),
                             edge_of(0, 2, 1e9),        edge_of(1, 3, 1e9),  edge_of(3, 1, 1e9),
                             edge_of(3, 2, 1e8, 20'000)};
  CHECK(slow_edges(edges, two_machines).empty());
  edges[3] = edge_of(0, 2, 4e8);
  REQUIRE(slow_edges(edges, two_machines).size() == 1);
  CHECK(slow_edges(edges, two_machines)[0]["ranks"] == Json({0, 2}));
  CHECK(slow_edges({edge_of(0, 1, 1e9), edge_of(1, 0, 1e6)}, two_machines).empty());
}

Json placed(Json edge, const std::string& path, const std::vector<std::string>& links) {
  edge["path"] = path;
  edge["links"] = links;
  return edge;
}

TEST_CASE("edges over links of other classes are slower by right") {
  const std::vector<int> machines = {0, 1, 2, 3};
  std::vector<Json> edges;
  for (const int near : {0, 1, 2}) edges.push_back(placed(edge_of(near, 3, 1e10), "rail rail", {}));
  for (const int far : {0, 1, 2}) edges.push_back(placed(edge_of(3, far, 1e9), "rail spine", {}));
  CHECK(slow_edges(edges, machines).empty());
}

TEST_CASE("of a slow edge those links are named that no healthy one lies on") {
  const std::vector<int> machines = {0, 1, 2, 3};
  std::vector<Json> edges = {placed(edge_of(0, 1, 1e9), "rail", {"out0", "in1"}),
                             placed(edge_of(1, 2, 1e9), "rail", {"out1", "in2"}),
                             placed(edge_of(2, 3, 2e8), "rail", {"out2", "in3"}),
                             placed(edge_of(2, 0, 1e9), "rail", {"out2", "in0"})};
  const auto slow = slow_edges(edges, machines);
  REQUIRE(slow.size() == 1);
  CHECK(slow[0]["links"] == Json({"in3"}));
  const auto judged = judged_links({}, edges, machines);
  CHECK(judged.contains("out2"));
  CHECK_FALSE(judged.contains("in3"));
  edges.push_back(placed(edge_of(1, 3, 1e9), "rail", {"out1", "in3"}));
  CHECK(slow_edges(edges, machines)[0]["links"].empty());  // what they share, or neither
}

TEST_CASE("the slow rank is the one that waits least, not the one that takes longest") {
  std::vector<Json> reports = reports_of({0.01, 0.01});
  const std::vector<Seconds> steps = {seconds(1), seconds(1)};
  CHECK(slow_ranks(reports, steps).empty());
  reports[1]["wait_s"] = 0.1;  // the others wait 0.5 s, 0.4 s for it, of 2 s
  const Json slow = slow_ranks(reports, steps);
  REQUIRE(slow.size() == 1);
  CHECK(slow[0]["rank"] == 1);
  CHECK(slow[0]["host"] == "node0");
  CHECK(slow[0]["late_s"] == Approx(0.4));
  reports[1]["wait_s"] = 0.35;  // less than a tenth of the run
  CHECK(slow_ranks(reports, steps).empty());
}

}  // namespace
}  // namespace railwright::worker
