#include "collectives/proof.hpp"

#include <catch2/catch.hpp>

#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

TEST_CASE("every schedule of 1 to 33 ranks ends with each contribution exactly once") {
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
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
