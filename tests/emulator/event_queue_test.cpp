#include "emulator/step/event_queue.hpp"

#include <catch2/catch.hpp>
#include <map>

#include "tests/emulator/random_system.hpp"

using namespace railwright;
using namespace railwright::emulator;

TEST_CASE("events leave in the order of time, equal times in the order of insertion") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 generator(seed);
    EventQueue<int> queue;
    std::multimap<std::int64_t, int> expected;  // equal keys stay in the order of insertion
    const int widest = 1 << below(generator, 30);
    std::int64_t now = 0;
    for (int event = 0; event < 2000;) {
      if (expected.empty() || below(generator, 2) == 0) {
        const std::int64_t when = now + below(generator, widest);
        queue.push({when}, event);
        expected.insert({when, event++});
        continue;
      }
      REQUIRE_FALSE(queue.empty());
      REQUIRE(queue.first().picoseconds == expected.begin()->first);
      // Asking what comes first does not move time: something may still come before it.
      if (now < expected.begin()->first && below(generator, 4) == 0) {
        queue.push({now}, event);
        expected.insert({now, event++});
      }
      now = expected.begin()->first;
      REQUIRE(queue.pop() == expected.begin()->second);
      expected.erase(expected.begin());
    }
    for (const auto& [when, event] : expected) REQUIRE(queue.pop() == event);
    CHECK(queue.empty());
  }
}

TEST_CASE("events lie anywhere between now and the end of event time") {
  EventQueue<int> queue;
  queue.push({INT64_MAX}, 2);
  queue.push({1}, 1);
  queue.push({0}, 0);
  for (int event = 0; event < 3; ++event) CHECK(queue.pop() == event);
  CHECK(queue.empty());
}
