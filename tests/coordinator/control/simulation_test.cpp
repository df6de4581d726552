#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>

#include "world.hpp"

using namespace railwright::test;
using railwright::coordinator::control::State;

namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void add(Report& total, const Report& report) {
  total.events += report.events;
  total.crashes += report.crashes;
  total.torn += report.torn;
  total.adopted += report.adopted;
  total.expired += report.expired;
  total.losses += report.losses;
  total.messages_lost += report.messages_lost;
  total.doubled += report.doubled;
  total.conflicts += report.conflicts;
  for (const auto& [state, count] : report.ends) total.ends[state] += count;
}

bool any_of_seeds_is_found(Mutation mutation) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed)
    if (!simulate(seed, mutation).violations.empty()) return true;
  return false;
}

}  // namespace

// RAILWRIGHT_SEED=N replays one world, RAILWRIGHT_SEEDS=N runs so many.
TEST_CASE("in no world is a job lost, run twice at a time, counted twice, or left hanging") {
  const std::uint64_t only = number_from("RAILWRIGHT_SEED", 0);
  const std::uint64_t last = only != 0 ? only : number_from("RAILWRIGHT_SEEDS", 1'000);
  Report total;
  for (std::uint64_t seed = only != 0 ? only : 1; seed <= last; ++seed) {
    const Report report = simulate(seed);
    add(total, report);
    if (report.violations.empty()) continue;
    for (const std::string& violation : report.violations) UNSCOPED_INFO(violation);
    FAIL("replay: RAILWRIGHT_SEED=" << seed << " build/release/bin/control_test \"in no world*\"");
  }
  std::cout << "worlds " << last << ", events " << total.events << ", crashes " << total.crashes
            << ", torn writes " << total.torn << ", messages lost " << total.messages_lost
            << ", doubled " << total.doubled << ", leases that ended " << total.expired
            << ", losses " << total.losses << ", grants of adopted leaders " << total.adopted
            << "\n";
  if (only != 0 || last < 100) return;
  // The worlds are not so kind that nothing was tried.
  CHECK(total.crashes > 100);
  CHECK(total.torn > 10);
  CHECK(total.expired > 10);
  CHECK(total.adopted > 100);
  CHECK(total.losses > 100);
  CHECK(total.conflicts > 10);
  CHECK(total.ends[State::done] > 100);
  CHECK(total.ends[State::failed] > 10);
  CHECK(total.ends[State::cancelled] > 10);
}

TEST_CASE("the same seed is the same world") {
  for (const std::uint64_t seed : {1, 77, 500}) {
    const Report once = simulate(seed), again = simulate(seed);
    CHECK(once.events == again.events);
    CHECK(once.messages_lost == again.messages_lost);
    CHECK(once.ends == again.ends);
  }
}

TEST_CASE("the checkers find leaders that keep a lease for too long, and a disk that lies") {
  CHECK(any_of_seeds_is_found({.leader_lease = 3}));
  CHECK(any_of_seeds_is_found({.lying_disk = true}));
}
