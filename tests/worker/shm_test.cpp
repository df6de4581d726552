#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "tests/worker/ranks.hpp"
#include "tests/worker/schedules.hpp"
#include "worker/shm/shm_backend.hpp"
#include "worker/verify.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

const DataType types[] = {DataType::float32, DataType::float16, DataType::bfloat16};
// Each rank of one machine on its own thread.
void on_node(int ranks, Bytes payload, const std::function<void(SharedNode&)>& run) {
  std::vector<int> world;
  for (int rank = 0; rank < ranks; ++rank) world.push_back(rank);
  const auto segments = make_thread_segments(world, SharedNode::segment_size(ranks, payload));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      SharedNode node(segments[rank]);
      run(node);
    });
  for (std::thread& thread : threads) thread.join();
}

struct Job {
  Schedule schedule;
  DataType type = DataType::float32;
  std::uint64_t elements = 1;
  bool shared = true;  // the buffer
};

// Wrong elements of one rank, after the collective; a failure counts as a million.
std::uint64_t wrong_after(Backend& backend, SharedNode& node, const Job& job, const Group& group,
                          std::uint64_t seed) {
  const std::size_t size = buffer_bytes(job.schedule, {job.elements * size_of(job.type)}).count;
  std::vector<std::byte> own(job.shared ? 0 : size);
  const std::span<std::byte> buffer = job.shared ? node.allocate(size) : std::span(own);
  if (buffer.size() != size) return 1'000'000;
  const ExactInputs inputs(seed, job.schedule.ranks, job.type);
  fill_inputs(job.schedule, group.index, inputs, job.type, buffer);
  const Execution execution =
      backend.execute(job.schedule, group, buffer, Reducer(job.type, ReduceOp::sum), within(20));
  const std::uint64_t wrong = execution.state == WaitState::done
                                  ? count_wrong(job.schedule, group.index, inputs, job.type, buffer)
                                  : 1'000'000;
  if (job.shared) node.release(buffer);
  return wrong;
}

std::uint64_t wrong_of(const std::vector<Job>& jobs, int ranks) {
  std::atomic<std::uint64_t> wrong = 0;
  on_node(ranks, mebibytes(4), [&](SharedNode& node) {
    const auto backend = make_shm_backend(node, nullptr);
    for (std::size_t i = 0; i < jobs.size(); ++i)
      wrong += wrong_after(*backend, node, jobs[i], everybody(ranks, node.index()), i);
  });
  return wrong;
}

TEST_CASE("every operation of 1 to 8 ranks is exact in shared and private buffers") {
  for (int ranks = 1; ranks <= 8; ++ranks)
    for (const Operation operation : all_operations)
      for (const DataType type : types) {
        std::vector<Job> jobs;
        // Around a cache line, the line's payload, a slot and beyond; odd ones.
        for (const std::uint64_t elements :
             {1, 2, 3, 12, 15, 16, 17, 63, 1000, 2047, 2048, 2049, 4099, 20011})
          for (const bool shared : {true, false})
            jobs.push_back({{operation, Algorithm::direct, ranks}, type, elements, shared});
        INFO(to_string(operation) << " " << to_string(type) << " ranks " << ranks);
        REQUIRE(wrong_of(jobs, ranks) == 0);
      }
}

TEST_CASE("roots and the parts of hierarchical schedules are kept to") {
  std::vector<Job> jobs;
  for (const std::uint64_t elements : {5, 3001})
    for (const Operation operation : all_operations) {
      Schedule schedule{operation, Algorithm::direct, 6};
      if (operation == Operation::broadcast || operation == Operation::reduce) {
        schedule.algorithm = Algorithm::binomial_tree;
        schedule.root = 4;
      } else if (operation == Operation::reduce_scatter || operation == Operation::all_gather) {
        schedule.algorithm = Algorithm::hierarchical;
        schedule.inner = 3;
      }
      REQUIRE(collectives::why_not(schedule).empty());
      jobs.push_back({schedule, DataType::float32, elements, true});
    }
  CHECK(wrong_of(jobs, 6) == 0);
}

TEST_CASE("groups that overlap in time do not disturb each other") {
  // Rows, columns and everybody of 2 x 3 ranks, in an order of sizes that differs from call to
  // call; some ranks are in a row while others are in a column still.
  std::atomic<std::uint64_t> wrong = 0;
  on_node(6, mebibytes(4), [&](SharedNode& node) {
    const auto backend = make_shm_backend(node, nullptr);
    const int rank = node.index();
    std::mt19937_64 random(5);  // the same on every rank
    for (int round = 0; round < 300; ++round) {
      const std::uint64_t elements = 1 + random() % (round % 2 ? 40 : 6000);
      const Operation operation = all_operations[random() % std::size(all_operations)];
      Group group = everybody(6, rank);
      if (round % 3 == 1) {
        group.dimension = workload::Dimension::tp;
        group.ranks = {rank / 3 * 3, rank / 3 * 3 + 1, rank / 3 * 3 + 2};
        group.index = rank % 3;
      } else if (round % 3 == 2) {
        group.dimension = workload::Dimension::dp;
        group.ranks = {rank % 3, rank % 3 + 3};
        group.index = rank / 3;
      }
      const Schedule schedule{operation, Algorithm::direct, static_cast<int>(group.ranks.size())};
      wrong += wrong_after(*backend, node, {schedule, DataType::bfloat16, elements, round % 5 > 0},
                           group, round);
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("a rank that never comes is named when the deadline passes, whoever waits") {
  for (const std::uint64_t elements : {4, 100000})
    for (const int missing : {0, 2}) {
      std::atomic<int> named = 0;
      on_node(3, mebibytes(4), [&](SharedNode& node) {
        const auto backend = make_shm_backend(node, nullptr);
        const Schedule schedule{Operation::all_reduce, Algorithm::direct, 3};
        const Group group = everybody(3, node.index());
        const auto buffer = node.allocate(elements * 4);
        const Reducer reducer(DataType::float32, ReduceOp::sum);
        backend->execute(schedule, group, buffer, reducer, within(20));
        if (node.index() == missing) return;
        const Execution second = backend->execute(schedule, group, buffer, reducer, within(0.05));
        named += second.state == WaitState::timeout && second.peer == missing;
      });
      INFO(elements << " elements, rank " << missing << " is missing");
      CHECK(named == 2);
    }
}

TEST_CASE("private buffers go to the backend for them when one member's is large") {
  struct Counting : Backend {
    int calls = 0;
    std::string name() const override { return "counting"; }
    bool opaque() const override { return true; }
    Execution execute(const Schedule&, const Group&, std::span<std::byte>, const Reducer&,
                      Transport::Deadline) override {
      ++calls;
      return {};
    }
  };
  std::atomic<int> calls = 0;
  on_node(2, mebibytes(4), [&](SharedNode& node) {
    Counting others;
    const auto backend = make_shm_backend(node, &others);
    for (const std::size_t size : {std::size_t{64}, largest_copied, largest_copied + 4}) {
      std::vector<std::byte> own(size);
      // Only one of the two has a private buffer.
      const auto buffer = node.index() == 0 ? std::span(own) : node.allocate(size);
      backend->execute({Operation::all_reduce, Algorithm::direct, 2}, everybody(2, node.index()),
                       buffer, Reducer(DataType::float32, ReduceOp::sum), within(20));
    }
    calls += others.calls;
  });
  CHECK(calls == 2);
}

TEST_CASE("a segment's heap gives disjoint memory and takes it back whole") {
  std::mt19937_64 random(3);
  const auto segments = make_thread_segments({4, 7}, SharedNode::segment_size(2, mebibytes(1)));
  SharedNode node(segments[1]);
  CHECK(node.member_of(4) == 0);
  CHECK(node.member_of(7) == 1);
  CHECK(node.member_of(5) == -1);
  std::vector<std::span<std::byte>> held;
  for (int round = 0; round < 2000; ++round) {
    if (!held.empty() && random() % 2 == 0) {
      const std::size_t which = random() % held.size();
      for (const std::byte byte : held[which])
        REQUIRE(byte == held[which].front());  // nobody else wrote here
      node.release(held[which]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      continue;
    }
    const std::span<std::byte> got = node.allocate(1 + random() % 50000);
    if (got.empty()) continue;
    REQUIRE(reinterpret_cast<std::uintptr_t>(got.data()) % 64 == 0);
    REQUIRE(node.at(1, *node.place_of(got)) == got.data());
    std::fill(got.begin(), got.end(), static_cast<std::byte>(round));
    held.push_back(got);
  }
  for (const auto bytes : held) node.release(bytes);
  CHECK(node.allocate(mebibytes(1).count).size() == mebibytes(1).count);
  CHECK(node.allocate(mebibytes(64).count).empty());
  std::vector<std::byte> elsewhere(64);
  CHECK_FALSE(node.place_of(elsewhere));
}

TEST_CASE("ranks on other machines are named") {
  const auto segments = make_thread_segments({2, 3}, mebibytes(1));
  const SharedNode node(segments[0]);
  CHECK(why_shm_cannot(node, {2, 3}) == "");
  CHECK(why_shm_cannot(node, {2, 5}) == "rank 5 lives on another machine than rank 2");
}

}  // namespace
}  // namespace railwright::worker
