#include "emulator/solver.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/emulator/random_system.hpp"

using namespace railwright::emulator;

namespace {

// An independent solver, slow and plain: raise the common level to the least at which some link
// fills or some cap is met, freeze everybody who is on a full link or at the cap, repeat.
std::vector<double> reference_rates(const System& system) {
  std::vector<double> rate(system.variables.size(), -1);
  for (;;) {
    double level = std::numeric_limits<double>::infinity();
    std::vector<double> link_level(system.capacity.size(), level);
    for (std::size_t l = 0; l < system.capacity.size(); ++l) {
      double left = system.capacity[l], weight = 0;
      for (std::size_t v = 0; v < rate.size(); ++v)
        for (const Consumption& use : system.variables[v].consumption)
          if (use.link == static_cast<int>(l)) {
            if (rate[v] >= 0) left -= use.per_rate * rate[v];
            if (rate[v] < 0) weight += use.per_rate * system.variables[v].share;
          }
      if (weight > 0) link_level[l] = left / weight;
      level = std::min(level, link_level[l]);
    }
    bool any = false;
    for (std::size_t v = 0; v < rate.size(); ++v)
      if (rate[v] < 0) level = std::min(level, system.variables[v].cap / system.variables[v].share);
    for (std::size_t v = 0; v < rate.size(); ++v) {
      if (rate[v] >= 0) continue;
      const Variable& variable = system.variables[v];
      bool bound = variable.cap <= level * variable.share * (1 + 1e-14);
      for (const Consumption& use : variable.consumption)
        bound |= link_level[use.link] <= level * (1 + 1e-14);
      if (bound) rate[v] = -2 - level * variable.share, any = true;  // frozen after this round
    }
    if (!any) return rate;
    for (double& x : rate)
      if (x < -1) x = -2 - x;
  }
}

System one_link(double capacity, std::vector<Variable> variables) {
  return {{capacity}, std::move(variables)};
}

void check_rates(const System& system, const std::vector<double>& expected) {
  const Allocation allocation = max_min(system);
  CHECK(certificate_violation(system, allocation).empty());
  for (std::size_t v = 0; v < expected.size(); ++v)
    CHECK(allocation.rate[v] == Approx(expected[v]).epsilon(1e-12));
}

}  // namespace

// SimGrid src/kernel/lmm/maxmin_test.cpp. Its sharing penalty is 1 / share, its constraint weight
// is consumption.
TEST_CASE("SimGrid's published systems have SimGrid's published answers") {
  // C = 3, penalties 1 and 2: x = 2 y and x + y = 3.
  check_rates(one_link(3, {{{{0, 1}}, 1}, {{{0, 1}}, 0.5}}), {2, 1});
  // C = 3, weights 1 and 2: x = y and x + 2 y = 3.
  check_rates(one_link(3, {{{{0, 1}}, 1}, {{{0, 2}}, 1}}), {1, 1});
  // C = 20, weights 1 and 2, penalties 1 and 2: x = 2 y and x + 2 y = 20.
  check_rates(one_link(20, {{{{0, 1}}, 1}, {{{0, 2}}, 0.5}}), {10, 5});
  // C1 = 20 carries x + 2 y, C2 = 60 carries 2 x + z; penalties 1, 2, 1. C1 fills first, at x = 10
  // and y = 5 as above; then z = 60 - 2 * 10.
  check_rates({{20, 60}, {{{{0, 1}, {1, 2}}, 1}, {{{0, 2}}, 0.5}, {{{1, 1}}, 1}}}, {10, 5, 40});
}

TEST_CASE("a variable without links runs at its cap, or without limit") {
  const System system{{5}, {{{}, 1, 7}, {{}, 1}, {{{0, 1}}, 1, 2}}};
  const Allocation allocation = max_min(system);
  CHECK(allocation.rate[0] == 7);
  CHECK(std::isinf(allocation.rate[1]));
  CHECK(allocation.rate[2] == 2);
  CHECK(allocation.limiting_link == std::vector<int>{-1, -1, -1});
}

TEST_CASE("of links that bind together the lowest is named") {
  // Links 1 and 2 both fill at rate 5; link 0 does not fill.
  const System system{{100, 10, 10}, {{{{2, 1}, {1, 1}, {0, 1}}}, {{{2, 1}, {0, 1}, {1, 1}}}}};
  const Allocation allocation = max_min(system);
  CHECK(allocation.rate == std::vector<double>{5, 5});
  CHECK(allocation.limiting_link == std::vector<int>{1, 1});
}

TEST_CASE("random systems carry a certificate and equal a plain reference") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    INFO("seed " << seed);
    const System system = random_system(seed);
    const Allocation allocation = max_min(system);
    CHECK(certificate_violation(system, allocation) == "");
    const std::vector<double> expected = reference_rates(system);
    for (std::size_t v = 0; v < expected.size(); ++v)
      REQUIRE(allocation.rate[v] == Approx(expected[v]).epsilon(1e-9));
  }
}

TEST_CASE("rates follow their variables through any permutation of variables and links") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    const System system = random_system(seed);
    std::mt19937_64 generator(seed + 1000);
    std::vector<int> link_place(system.capacity.size()), order(system.variables.size());
    std::iota(link_place.begin(), link_place.end(), 0);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(link_place.begin(), link_place.end(), generator);
    std::shuffle(order.begin(), order.end(), generator);
    System mixed{std::vector<double>(system.capacity.size()), {}};
    for (std::size_t l = 0; l < link_place.size(); ++l)
      mixed.capacity[link_place[l]] = system.capacity[l];
    for (const int v : order) {
      mixed.variables.push_back(system.variables[v]);
      for (Consumption& use : mixed.variables.back().consumption) use.link = link_place[use.link];
    }
    const Allocation plain = max_min(system), permuted = max_min(mixed);
    for (std::size_t i = 0; i < order.size(); ++i)
      REQUIRE(permuted.rate[i] == Approx(plain.rate[order[i]]).epsilon(1e-12));
  }
}

TEST_CASE("scaling capacities and caps scales rates; scaling consumption divides them") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    System capacities = random_system(seed), consumptions = capacities, shares = capacities;
    const Allocation plain = max_min(capacities);
    for (double& capacity : capacities.capacity) capacity *= 3;
    for (Variable& variable : capacities.variables) variable.cap *= 3;
    for (Variable& variable : consumptions.variables) {
      for (Consumption& use : variable.consumption) use.per_rate *= 3;
      variable.cap /= 3;
    }
    for (Variable& variable : shares.variables) variable.share *= 3;
    const Allocation faster = max_min(capacities), slower = max_min(consumptions);
    const Allocation same = max_min(shares);
    for (std::size_t v = 0; v < plain.rate.size(); ++v) {
      REQUIRE(faster.rate[v] == Approx(3 * plain.rate[v]).epsilon(1e-12));
      REQUIRE(slower.rate[v] == Approx(plain.rate[v] / 3).epsilon(1e-12));
      REQUIRE(same.rate[v] == Approx(plain.rate[v]).epsilon(1e-12));
    }
  }
}

TEST_CASE("the certificate refuses what is not max-min") {
  const System system{{10, 4}, {{{{0, 1}}}, {{{0, 1}, {1, 1}}}}};
  const Allocation good = max_min(system);
  REQUIRE(good.rate == std::vector<double>{6, 4});
  CHECK(certificate_violation(system, good) == "");
  CHECK(certificate_violation(system, {{7, 4}, {0, 1}}) != "");  // link 0 over capacity
  CHECK(certificate_violation(system, {{5, 4}, {0, 1}}) != "");  // variable 0 could grow
  CHECK(certificate_violation(system, {{7, 3}, {0, 0}}) != "");  // variable 1 is short-changed
  CHECK(certificate_violation(system, {{6, 4}, {0, 0}}) != "");  // the wrong link is named
  CHECK(certificate_violation(system, {{6, 4}, {0, -1}}) != "");
}

TEST_CASE("many variables of very different shares keep every link within its capacity") {
  std::mt19937_64 generator(7);
  System system{std::vector<double>(50, 1e11), {}};
  for (int v = 0; v < 20'000; ++v) {
    const int first = below(generator, 25);
    const int second = first + 1 + below(generator, 24);
    system.variables.push_back({{{first, 1}, {second, 1}}, uniform(generator, 1e-3, 1e3)});
  }
  CHECK(certificate_violation(system, max_min(system)) == "");
}
