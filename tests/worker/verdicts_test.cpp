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
  CHECK(slow_links(reports_of({0.100, 0.100, 0.100})).empty());
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
