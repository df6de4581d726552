// What a job is planned for when it gets fewer nodes than it wants.
#include "coordinator/service/replan.hpp"

#include <catch2/catch.hpp>

using namespace railwright::coordinator;
using Catch::Matchers::Contains;
using railwright::workload::Degrees;

namespace {

JobRequest request_for(const std::string& workload) {
  JobRequest request;
  request.accelerators = 8;
  request.global_batch = 8;
  request.fix = "tp=2";
  request.workload = workload;
  return request;
}

Degrees degrees_of(int tp, int dp) {
  Degrees degrees;
  degrees.tp = tp;
  degrees.dp = dp;
  return degrees;
}

}  // namespace

TEST_CASE("with all its nodes a job is planned as it was submitted") {
  const auto portions = portions_of(request_for("traffic"), degrees_of(2, 3), 8);
  REQUIRE(portions.size() == 1);
  CHECK(portions[0] == Portion{8, 8, "tp=2", ""});
}

TEST_CASE("real training goes on with every replica that is left, and deals the batch unevenly") {
  const auto portions = portions_of(request_for("train"), degrees_of(2, 4), 7);
  REQUIRE(portions.size() == 2);
  CHECK(portions[0].accelerators == 6);  // 3 replicas of 2
  CHECK(portions[0].global_batch == 9);  // the next that 3 replicas divide
  CHECK_THAT(portions[0].fix, Contains("tp=2") && Contains("dp=3") && Contains("micro_batch=1"));
  CHECK_THAT(portions[0].note, Contains("up to 3 micro-batches of the batch of 8"));
  CHECK(portions[1].global_batch == 8);
}

TEST_CASE("other jobs take as many replicas as divide the batch") {
  const auto portions = portions_of(request_for("traffic"), degrees_of(2, 4), 7);
  CHECK(portions[0].accelerators == 4);
  CHECK(portions[0].global_batch == 8);
}

TEST_CASE("no replica is left without a micro-batch") {
  JobRequest request = request_for("train");
  request.global_batch = 2;
  CHECK(portions_of(request, degrees_of(1, 8), 7)[0].accelerators == 2);
}

TEST_CASE("where not even one replica fits, other degrees are tried") {
  JobRequest request = request_for("train");
  request.fix = "dp=1";
  const auto portions = portions_of(request, degrees_of(8, 1), 4);
  REQUIRE(portions.size() == 1);
  CHECK(portions[0].accelerators == 4);
  CHECK_THAT(portions[0].fix, !Contains("dp="));
}
