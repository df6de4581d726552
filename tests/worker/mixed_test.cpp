// Schedules across machines whose ranks share memory; the other transport is that of threads.
#include <atomic>
#include <cassert>
#include <catch2/catch.hpp>
#include <optional>

#include "tests/worker/ranks.hpp"
#include "tests/worker/schedules.hpp"
#include "worker/hierarchical_backend.hpp"
#include "worker/shm/mixed_transport.hpp"
#include "worker/verify.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

// Ranks 0 .. n-1, `per_machine` neighbours on a machine.
void on_machines(int ranks, int per_machine,
                 const std::function<void(SharedNode&, MixedTransport&)>& run) {
  std::vector<Segments> segments;
  for (int first = 0; first < ranks; first += per_machine) {
    std::vector<int> here;
    for (int rank = first; rank < std::min(ranks, first + per_machine); ++rank)
      here.push_back(rank);
    const Bytes each = SharedNode::segment_size(static_cast<int>(here.size()), mebibytes(1));
    for (Segments& mine : make_thread_segments(here, each)) segments.push_back(std::move(mine));
  }
  on_ranks(ranks, [&](Transport& outside) {
    SharedNode node(segments[outside.rank()]);
    std::unique_ptr<MixedTransport> transport;
    MixedTransport::make(node, outside, within(20), transport);
    assert(transport);  // Catch's own checks are for one thread
    run(node, *transport);
  });
}

// Wrong elements on all ranks, in shared and in private buffers.
std::uint64_t wrong_of(const std::vector<Schedule>& schedules, int per_machine,
                       std::uint64_t elements) {
  std::atomic<std::uint64_t> wrong = 0;
  const int ranks = schedules.front().ranks;
  on_machines(ranks, per_machine, [&](SharedNode& node, MixedTransport& transport) {
    const auto backend = make_hierarchical_backend(node, transport);
    for (const Schedule& schedule : schedules)
      for (const bool shared : {true, false}) {
        const std::size_t size = buffer_bytes(schedule, {elements * 4}).count;
        std::vector<std::byte> own(shared ? 0 : size);
        const std::span<std::byte> buffer = shared ? node.allocate(size) : std::span(own);
        const ExactInputs inputs(elements, ranks, DataType::float32);
        const Group group = everybody(ranks, transport.rank());
        fill_inputs(schedule, group.index, inputs, DataType::float32, buffer);
        const Execution execution = backend->execute(
            schedule, group, buffer, Reducer(DataType::float32, ReduceOp::sum), within(20));
        if (execution.state != WaitState::done) wrong += 1'000'000;
        wrong += count_wrong(schedule, group.index, inputs, DataType::float32, buffer);
        if (shared) node.release(buffer);
      }
  });
  return wrong;
}

TEST_CASE("every schedule is exact across machines of any size", "[mixed]") {
  for (const int ranks : {2, 4, 5, 6})
    for (const int per_machine : {1, 2, 3, 4}) {
      INFO(ranks << " ranks, " << per_machine << " per machine");
      for (const std::uint64_t elements : {1, 3, 1003})
        REQUIRE(wrong_of(schedules(ranks), per_machine, elements) == 0);
    }
}

TEST_CASE("messages inside a machine take its memory, others the other transport", "[mixed]") {
  // Hierarchical all-reduce of 2 x 2: each rank sends half of the vector inside, twice, and half
  // of that across, twice.
  const Schedule schedule{Operation::all_reduce, Algorithm::hierarchical, 4, 1, 2};
  std::atomic<std::uint64_t> memory = 0, outside = 0;
  on_machines(4, 2, [&](SharedNode& node, MixedTransport& transport) {
    const auto backend = make_hierarchical_backend(node, transport);
    const auto buffer = node.allocate(4096);
    backend->execute(schedule, everybody(4, transport.rank()), buffer,
                     Reducer(DataType::float32, ReduceOp::sum), within(20));
    memory += transport.ways().memory.count;
    outside += transport.ways().outside.count;
  });
  CHECK(memory == 4 * 2 * 2048);
  CHECK(outside == 4 * 2 * 1024);
}

TEST_CASE("many messages of several tags wait in order for receives that come late", "[mixed]") {
  // More than a mailbox holds, of all three kinds, received tag by tag.
  constexpr int count = 200;
  std::atomic<int> wrong = 0;
  on_machines(2, 2, [&](SharedNode& node, MixedTransport& transport) {
    const int peer = 1 - transport.rank();
    std::vector<std::byte> own(count * 64);
    const std::span<std::byte> shared = node.allocate(count * 64);
    std::vector<Request> sends;
    for (int i = 0; i < count; ++i) {
      // In the line, from shared memory, from private memory.
      const std::size_t size = i % 3 == 0 ? 8 : 64;
      const auto bytes = (i % 3 == 2 ? std::span(own) : shared).subspan(i * 64, size);
      std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(i));
      sends.push_back(transport.post_send(peer, i % 2, bytes));
    }
    for (const int tag : {1, 0})
      for (int i = tag; i < count; i += 2) {
        std::vector<std::byte> in(i % 3 == 0 ? 8 : 64);
        const Request receive = transport.post_receive(peer, tag, in);
        wrong += transport.wait(receive, within(20)).state != WaitState::done;
        for (const std::byte byte : in) wrong += byte != static_cast<std::byte>(i);
      }
    for (const Request send : sends)
      wrong += transport.wait(send, within(20)).state != WaitState::done;
  });
  CHECK(wrong == 0);
}

TEST_CASE("a message of another length fails, a missing one times out with its peer", "[mixed]") {
  std::atomic<int> failed = 0, timed_out = 0;
  on_machines(2, 2, [&](SharedNode& node, MixedTransport& transport) {
    const auto buffer = node.allocate(256);
    if (node.index() == 0) {
      const Request send = transport.post_send(1, 0, buffer.first(128));
      transport.wait(send, within(20));
      return;
    }
    failed +=
        transport.wait(transport.post_receive(0, 0, buffer), within(20)).state == WaitState::failed;
    const Request never = transport.post_receive(0, 0, buffer);
    const WaitResult result = transport.wait(never, within(0.05));
    timed_out += result.state == WaitState::timeout && result.peer == 0;
    transport.cancel(never);
  });
  CHECK(failed == 1);
  CHECK(timed_out == 1);
}

}  // namespace
}  // namespace railwright::worker
