// Communicators of the NCCL backend: how groups get theirs, and what becomes of those who wait when
// a rank does not come, an error comes late, or nothing ends.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <climits>

#include "tests/worker/nccl/doubles.hpp"
#include "tests/worker/ranks.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

TEST_CASE("communicators are non-blocking, one per group, with the plan's channels as a hint") {
  FakeNccl& fake = fresh_double();
  on_ranks(4, [&](Transport& transport) {
    const auto backend = backend_of(transport);
    const Reducer reducer(DataType::float32, ReduceOp::sum);
    std::vector<float> values(100);
    const int rank = transport.rank();
    for (int round = 0; round < 3; ++round)
      for (const bool rows : {true, false}) {
        Group group;
        group.ranks = rows ? std::vector{rank & ~1, rank | 1} : std::vector{rank & 1, rank | 2};
        group.index = rows ? rank & 1 : rank >> 1;
        Schedule schedule{Operation::all_reduce, Algorithm::ring, 2};
        schedule.channels = rows ? 8 : 1;
        backend->execute(schedule, group, std::as_writable_bytes(std::span(values)), reducer,
                         within(20));
      }
  });
  const auto count = [&](const std::string& begin) {
    return std::ranges::count_if(fake.calls,
                                 [&](const std::string& call) { return call.starts_with(begin); });
  };
  CHECK(count("join blocking=0") == 8);
  CHECK(count("join blocking=0 maxCTAs=8") == 4);
  CHECK(count("all_reduce") == 4 * 6);
  CHECK(fake.destroyed == 8);
}

TEST_CASE("the world meets once and splits into the groups in the same order on every rank") {
  FakeNccl& fake = fresh_double();
  std::atomic<int> right = 0;
  on_ranks(4, [&](Transport& transport) {
    const auto backend = backend_of(transport);
    const int rank = transport.rank();
    const Group rows{workload::Dimension::tp, {rank & ~1, rank | 1}, rank & 1};
    const Group columns{workload::Dimension::dp, {rank & 1, (rank & 1) + 2}, rank >> 1};
    const std::vector<Prospect> prospects = {
        {rows, 8}, {everybody(4, rank), 4}, {columns, 1}, {rows, 2}};
    bool done = backend->prepare(prospects, within(20)).state == WaitState::done;
    for (const Prospect& prospect : prospects) {
      std::vector<float> values(100, static_cast<float>(1 << rank));
      float sum = 0;
      for (const int member : prospect.group.ranks) sum += static_cast<float>(1 << member);
      const int ranks = static_cast<int>(prospect.group.ranks.size());
      const Execution execution =
          backend->execute({Operation::all_reduce, Algorithm::ring, ranks}, prospect.group,
                           std::as_writable_bytes(std::span(values)),
                           Reducer(DataType::float32, ReduceOp::sum), within(20));
      done &= execution.state == WaitState::done && values == std::vector<float>(100, sum);
    }
    right += done;
  });
  CHECK(right == 4);
  const auto called = [&](const std::string& call) { return std::ranges::count(fake.calls, call); };
  CHECK(called("join blocking=0 maxCTAs=4") == 4);
  CHECK(std::ranges::count_if(fake.calls, [](const std::string& call) {
          return call.starts_with("join") || call.find(" split ") != std::string::npos;
        }) == 16);
  const std::string unlimited = std::to_string(INT_MIN);
  for (int rank = 0; rank < 4; ++rank) {
    const auto split = [&](int number, int color, int key, const std::string& ctas) {
      return fmt::format("rank {} split {} color={} key={} maxCTAs={}", rank, number, color, key,
                         ctas);
    };
    INFO(fmt::format("{}", fmt::join(fake.calls, "\n")));
    CHECK(called(split(0, rank & ~1, rank & 1, "8")) == 1);
    CHECK(called(split(1, rank & 1, rank >> 1, unlimited)) == 1);
    CHECK(called(split(2, rank & ~1, rank & 1, "2")) == 1);
  }
  CHECK(fake.destroyed == 16);
}

TEST_CASE("a rank that does not come to the split of the world is named") {
  for (const int missing : {0, 3}) {
    FakeNccl& fake = fresh_double();
    std::atomic<int> named = 0, done = 0;
    on_ranks(4, [&](Transport& transport) {
      const auto backend = backend_of(transport);
      const int rank = transport.rank();
      const Group rows{workload::Dimension::tp, {rank & ~1, rank | 1}, rank & 1};
      std::vector<Prospect> prospects = {{everybody(4, rank), 1}};  // where all of them meet
      if (rank != missing) prospects.push_back({rows, 1});
      const WaitResult result = backend->prepare(prospects, within(rank == missing ? 20 : 0.5));
      done += result.state == WaitState::done;
      named += result.state == WaitState::timeout && result.peer == missing;
    });
    INFO(missing << " is missing");
    CHECK(done == 1);
    CHECK(named == 3);
    CHECK(fake.aborted == 3);    // the world of those that waited; no part was ever made
    CHECK(fake.destroyed == 1);  // the world of the one that did not
  }
}

TEST_CASE("a rank that does not come to the world is named") {
  FakeNccl& fake = fresh_double();
  std::atomic<int> named = 0;
  on_ranks(3, [&](Transport& transport) {
    if (transport.rank() == 2) return;
    const auto backend = backend_of(transport);
    const std::vector<Prospect> prospects = {{everybody(3, transport.rank()), 1}};
    const WaitResult result = backend->prepare(prospects, within(0.2));
    named += result.state == WaitState::timeout && result.peer == 2;
  });
  CHECK(named == 2);
  CHECK(fake.aborted == 1);  // rank 0 still waited for somebody to take the id
}

// What each rank got when the double was told to do something wrong.
struct Ends {
  std::atomic<int> done = 0, timeout = 0, failed = 0, named = 0;
};
void all_reduce_once(Ends& ends, int ranks, int missing, double deadline) {
  on_ranks(ranks, [&](Transport& transport) {
    if (transport.rank() == missing) return;
    const auto backend = backend_of(transport);
    std::vector<float> values(100, 1);
    const Execution execution = backend->execute(
        {Operation::all_reduce, Algorithm::direct, ranks}, everybody(ranks, transport.rank()),
        std::as_writable_bytes(std::span(values)), Reducer(DataType::float32, ReduceOp::sum),
        within(deadline));
    ends.done += execution.state == WaitState::done;
    ends.timeout += execution.state == WaitState::timeout;
    ends.failed += execution.state == WaitState::failed;
    ends.named += execution.peer == missing;
  });
}

TEST_CASE("a collective that never ends is aborted everywhere at the deadline") {
  FakeNccl& fake = fresh_double();
  fake.lose_at = 0;
  Ends ends;
  all_reduce_once(ends, 3, -1, 0.2);
  CHECK(ends.timeout == 3);
  CHECK(fake.aborted == 3);
  CHECK(fake.destroyed == 0);
}

TEST_CASE("an error that NCCL reports later aborts, and so do the ranks that wait for that one") {
  FakeNccl& fake = fresh_double();
  fake.fail_at = 0;
  fake.fail_rank = 1;
  Ends ends;
  all_reduce_once(ends, 3, -1, 0.3);
  CHECK(ends.failed == 1);
  CHECK(ends.timeout == 2);
  CHECK(fake.aborted == 3);
}

TEST_CASE("a rank that does not come to the communicator is named") {
  for (const int missing : {0, 1}) {
    fresh_double();
    Ends ends;
    all_reduce_once(ends, 2, missing, 0.2);
    INFO(missing << " is missing");
    CHECK(ends.timeout == 1);
    CHECK(ends.named == 1);
  }
}

TEST_CASE("a slow start is waited for") {
  FakeNccl& fake = fresh_double();
  fake.polls_in_progress = 5000;
  Ends ends;
  all_reduce_once(ends, 2, -1, 100);  // each look may cost a turn of a busy core
  CHECK(ends.done == 2);
}

TEST_CASE("a vector that the GPU has no memory for fails instead of crashing") {
  fresh_double();
  setenv("RAILWRIGHT_FAKE_MEMORY", "100", 1);
  Ends ends;
  all_reduce_once(ends, 2, -1, 0.2);
  unsetenv("RAILWRIGHT_FAKE_MEMORY");
  CHECK(ends.failed == 2);
}

}  // namespace
}  // namespace railwright::worker
