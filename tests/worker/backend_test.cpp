#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/worker/ranks.hpp"
#include "tests/worker/schedules.hpp"
#include "worker/verify.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

const DataType types[] = {DataType::float32, DataType::float16, DataType::bfloat16};
std::uint64_t run_all(const Schedule& schedule, DataType type, std::uint64_t elements) {
  std::atomic<std::uint64_t> wrong = 0;
  const ExactInputs inputs(elements + 1, schedule.ranks, type);
  const Bytes size = {elements * size_of(type)};
  on_ranks(schedule.ranks, [&](Transport& transport) {
    std::vector<std::byte> buffer(buffer_bytes(schedule, size).count);
    fill_inputs(schedule, transport.rank(), inputs, type, buffer);
    const auto backend = make_p2p_backend(transport);
    const Execution execution =
        backend->execute(schedule, everybody(schedule.ranks, transport.rank()), buffer,
                         Reducer(type, ReduceOp::sum), within(20));
    if (execution.state != WaitState::done) wrong += 1'000'000;
    wrong += count_wrong(schedule, transport.rank(), inputs, type, buffer);
  });
  return wrong;
}

TEST_CASE("every schedule of 1 to 9 ranks gives the exact result with real data") {
  for (int ranks = 1; ranks <= 9; ++ranks)
    for (const Schedule& schedule : schedules(ranks)) {
      INFO(to_string(schedule.operation)
           << " " << to_string(schedule.algorithm) << " ranks " << ranks << " channels "
           << schedule.channels << " inner " << schedule.inner << " root " << schedule.root
           << " segments " << schedule.segments << " dims " << schedule.dims.size());
      REQUIRE(run_all(schedule, DataType::float32, 1003) == 0);
    }
}

TEST_CASE("every type and odd size is exact, down to less than an element per chunk") {
  for (const DataType type : types)
    for (const int ranks : {2, 5, 6})
      for (const std::uint64_t elements : {1, 2, 3, 7, 64, 4097})
        for (const Schedule& schedule : schedules(ranks)) {
          if (type != DataType::float32 && ranks != 5) continue;
          if (schedule.channels > 2 || (schedule.inner > 1 && schedule.inner != 3)) continue;
          INFO(to_string(type) << " x " << elements << " " << to_string(schedule.operation) << " "
                               << to_string(schedule.algorithm) << " ranks " << ranks);
          REQUIRE(run_all(schedule, type, elements) == 0);
        }
}

TEST_CASE("schedules with switches or more channels than tags are refused with the reason") {
  CHECK(why_p2p_cannot({Operation::all_to_all, Algorithm::direct, 1025}) == "");
  CHECK(why_p2p_cannot({Operation::all_to_all, Algorithm::direct, 2000}) ==
        "direct of 2000 ranks has 1999 channels, the p2p backend has tags for 1024");
}

// Sums of these depend on the order.
float rough(int rank, std::size_t i) {
  return 1.0f /
         static_cast<float>(1 + (i * 7919 + static_cast<std::size_t>(rank) * 104'729) % 9973);
}

TEST_CASE("one_shot adds in the order of the ranks on every rank") {
  for (const int ranks : {2, 3, 4, 7}) {
    std::vector<float> expected(1003);
    for (std::size_t i = 0; i < expected.size(); ++i)
      for (int rank = 0; rank < ranks; ++rank) expected[i] += rough(rank, i);
    std::atomic<int> different = 0;
    on_ranks(ranks, [&](Transport& transport) {
      std::vector<float> values(expected.size());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = rough(transport.rank(), i);
      const Execution execution = make_p2p_backend(transport)->execute(
          {Operation::all_reduce, Algorithm::one_shot, ranks}, everybody(ranks, transport.rank()),
          std::as_writable_bytes(std::span(values)), Reducer(DataType::float32, ReduceOp::sum),
          within(20));
      different += execution.state != WaitState::done || values != expected;
    });
    INFO(ranks << " ranks");
    CHECK(different == 0);
  }
}

TEST_CASE("the same reduction gives the same bits in every run, exact or not") {
  const Schedule schedule{Operation::all_reduce, Algorithm::direct, 5};
  std::vector<std::byte> first;
  for (int round = 0; round < 10; ++round) {
    std::vector<std::byte> result;
    on_ranks(5, [&](Transport& transport) {
      std::vector<float> values(777);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = 1.0f / static_cast<float>(i + 3 * transport.rank() + 1);
      const auto buffer = std::as_writable_bytes(std::span(values));
      make_p2p_backend(transport)->execute(schedule, everybody(5, transport.rank()), buffer,
                                           Reducer(DataType::float32, ReduceOp::sum), within(20));
      if (transport.rank() == 3) result.assign(buffer.begin(), buffer.end());
    });
    if (round == 0) first = result;
    CHECK(result == first);
  }
}

TEST_CASE("collectives of different groups do not take each other's messages") {
  // Four ranks: pairs {0,1} {2,3} along one dimension, {0,2} {1,3} along another, back to back.
  std::atomic<std::uint64_t> wrong = 0;
  on_ranks(4, [&](Transport& transport) {
    const int rank = transport.rank();
    const auto backend = make_p2p_backend(transport);
    const Schedule schedule{Operation::all_reduce, Algorithm::ring, 2};
    for (int round = 0; round < 50; ++round)
      for (const bool rows : {true, false}) {
        Group group;
        group.dimension = rows ? workload::Dimension::tp : workload::Dimension::dp;
        group.ranks = rows ? std::vector{rank & ~1, rank | 1} : std::vector{rank & 1, rank | 2};
        group.index = rows ? rank & 1 : rank >> 1;
        const ExactInputs inputs(round * 2 + rows, 2, DataType::float32);
        std::vector<std::byte> buffer(4 * 100);
        fill_inputs(schedule, group.index, inputs, DataType::float32, buffer);
        const Execution execution = backend->execute(
            schedule, group, buffer, Reducer(DataType::float32, ReduceOp::sum), within(20));
        wrong += execution.state != WaitState::done;
        wrong += count_wrong(schedule, group.index, inputs, DataType::float32, buffer);
      }
  });
  CHECK(wrong == 0);
}

TEST_CASE("bytes sent and received are those of the algorithm") {
  // Ring all-reduce: 2 (p-1)/p of the vector each way.
  const Schedule schedule{Operation::all_reduce, Algorithm::ring, 4};
  std::atomic<std::uint64_t> sent = 0, received = 0;
  on_ranks(4, [&](Transport& transport) {
    std::vector<std::byte> buffer(4096);
    const Execution execution =
        make_p2p_backend(transport)->execute(schedule, everybody(4, transport.rank()), buffer,
                                             Reducer(DataType::float32, ReduceOp::sum), within(20));
    sent += execution.sent.count;
    received += execution.received.count;
  });
  CHECK(sent == 4 * 6144);
  CHECK(received == 4 * 6144);
}

TEST_CASE("a rank that never comes is named when the deadline passes") {
  for (const Algorithm algorithm : {Algorithm::ring, Algorithm::direct}) {
    std::atomic<int> named = 0;
    const Schedule schedule{Operation::all_reduce, algorithm, 2};
    on_ranks(2, [&](Transport& transport) {
      if (transport.rank() == 1) return;
      std::vector<std::byte> buffer(4096);
      const Execution execution = make_p2p_backend(transport)->execute(
          schedule, everybody(2, 0), buffer, Reducer(DataType::float32, ReduceOp::sum),
          within(0.05));
      if (execution.state == WaitState::timeout && execution.peer == 1) ++named;
    });
    CHECK(named == 1);
  }
}

TEST_CASE("the slowest time is that of the slowest rank, on every rank") {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    std::atomic<int> wrong = 0;
    on_ranks(ranks, [&](Transport& transport) {
      Seconds time = seconds(1 + (transport.rank() * 3) % ranks);
      const Group group = everybody(ranks, transport.rank());
      wrong += agree_on_slowest(transport, group, within(20), time).state != WaitState::done;
      int largest = 0;
      for (int rank = 0; rank < ranks; ++rank) largest = std::max(largest, (rank * 3) % ranks);
      wrong += time != seconds(1 + largest);
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("a rank that hangs is named by all, not those who wait for it in turn") {
  for (const int hangs : {0, 2, 4}) {
    std::atomic<int> named = 0, blamed_at_first = 0;
    on_ranks(5, [&](Transport& transport) {
      if (transport.rank() == hangs) return;
      const WaitResult lost = arrive(transport, everybody(5, transport.rank()), within(0.2));
      blamed_at_first += lost.state == WaitState::timeout && lost.peer != hangs;
      named += silent_rank(transport, lost, within(1)).peer == hangs;
    });
    INFO(hangs << " hangs");
    CHECK(named == 4);
    CHECK(blamed_at_first > 0);  // else this test shows nothing
  }
}

TEST_CASE("everybody leaves arrive only after the last one has come") {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    std::atomic<int> come = 0, early = 0;
    on_ranks(ranks, [&](Transport& transport) {
      for (int round = 1; round <= 20; ++round) {
        ++come;
        const WaitResult result = arrive(transport, everybody(ranks, transport.rank()), within(20));
        early += result.state != WaitState::done || come < round * ranks;
      }
    });
    CHECK(early == 0);
  }
}

TEST_CASE("arrive names a missing rank") {
  std::atomic<int> named = 0;
  on_ranks(2, [&](Transport& transport) {
    if (transport.rank() == 0) return;
    const WaitResult result = arrive(transport, everybody(2, 1), within(0.05));
    named += result.state == WaitState::timeout && result.peer == 0;
  });
  CHECK(named == 1);
}

}  // namespace
}  // namespace railwright::worker
