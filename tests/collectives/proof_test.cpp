#include "collectives/proof.hpp"

#include <catch2/catch.hpp>

#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

// The chain of a ring has 4 p segments per channel, and time grows with the square of the sends:
// beyond 17 ranks one channel through one node stands for the others.
bool is_proven(const Schedule& schedule) {
  const bool chain =
      schedule.algorithm == Algorithm::ring &&
      (schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce);
  return !chain || schedule.ranks <= 17 || (schedule.channels == 1 && schedule.inner == 1);
}

}  // namespace

TEST_CASE("every schedule of 1 to 33 ranks ends with each contribution exactly once") {
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      if (!is_proven(schedule)) continue;
      INFO(text_of(schedule));
      REQUIRE(violation_of(schedule) == "");
    }
}

TEST_CASE("every operation has at least one algorithm at every rank count") {
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const Operation operation : operations) {
      const std::vector<Schedule> schedules = schedules_of(ranks);
      CHECK(std::ranges::count(schedules, operation, &Schedule::operation) > 0);
    }
}
