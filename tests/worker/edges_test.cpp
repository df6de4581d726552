// What the time stamps of both ends say about the edge between them.
#include "worker/edges.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "tests/worker/ranks.hpp"
#include "worker/throttle.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;
using std::chrono::milliseconds;

constexpr int tag = pipeline_tags;
constexpr std::size_t size = 1 << 16;

// One message from rank 0 to rank 1, with delays before each end posts, and the edge seen after.
EdgeTotal one_message(milliseconds sender_late, milliseconds receiver_late,
                      const std::vector<Throttle>& throttles = {}) {
  EdgeTotal seen;
  on_ranks(2, [&](Transport& inner) {
    const auto transport = make_throttled_transport(inner, throttles);
    EdgeLog log(transport->rank());
    std::vector<std::byte> data(size);
    Request request;
    EdgeLog::Ticket ticket;
    std::this_thread::sleep_for(transport->rank() == 0 ? sender_late : receiver_late);
    if (transport->rank() == 0) {
      log.sent(1, tag, size);
      request = transport->post_send(1, tag, data);
    } else {
      ticket = log.expected(0, tag, size);
      request = transport->post_receive(0, tag, data);
    }
    const WaitResult moved = transport->wait(request, within(20));
    if (transport->rank() == 1) log.arrived(ticket);
    const WaitResult settled = log.settle(*transport, SharedClock({0, 0}), within(20));
    const bool done = moved.state == WaitState::done && settled.state == WaitState::done;
    if (transport->rank() == 1 && done) seen = log.totals().at(0);
  });
  return seen;
}

TEST_CASE("a late sender or receiver does not make its edge slow") {
  for (const auto& [sender, receiver] : {std::pair(0, 0), {2'000, 0}, {0, 2'000}}) {
    INFO("late by " << sender << " and " << receiver << " ms");
    const EdgeTotal edge = one_message(milliseconds(sender), milliseconds(receiver));
    CHECK(edge.source == 0);
    CHECK(edge.target == 1);
    CHECK(edge.messages == 1);
    CHECK(edge.bytes.count == size);
    CHECK(edge.busy.value > 0);
    CHECK(edge.busy.value < 1);
  }
}

TEST_CASE("a slow edge is measured at its rate") {
  const Bandwidth rate{1e6};  // 65 ms for the message
  const EdgeTotal edge = one_message(milliseconds(0), milliseconds(0), {{0, 1, rate}});
  CHECK(edge.busy.value >= 0.065);
  CHECK(edge.busy.value < 0.5);  // a crowded machine may be late to see it arrive
}

TEST_CASE("a collective's edges carry what its schedule sends, whatever the algorithm") {
  constexpr int ranks = 4;
  constexpr std::uint64_t floats = 1 << 18;
  for (const Algorithm algorithm : {Algorithm::ring, Algorithm::direct, Algorithm::one_shot}) {
    const Schedule schedule{Operation::all_reduce, algorithm, ranks};
    std::uint64_t measured = 0, sent = 0, wrong = 0;
    std::mutex mutex;
    on_ranks(ranks, [&](Transport& transport) {
      EdgeLog log(transport.rank());
      const auto backend = make_p2p_backend(transport, &log);
      std::vector<float> values(floats);
      Execution execution;
      for (int call = 0; call < 3; ++call)
        execution = backend->execute(schedule, everybody(ranks, transport.rank()),
                                     std::as_writable_bytes(std::span(values)),
                                     Reducer(DataType::float32, ReduceOp::sum), within(20));
      log.settle(transport, SharedClock(std::vector<int>(ranks)), within(20));
      const std::lock_guard lock(mutex);
      sent += 3 * execution.sent.count;
      for (const EdgeTotal& edge : log.totals()) {
        if (edge.target != transport.rank() || edge.busy.value <= 0) ++wrong;
        measured += edge.bytes.count;
      }
    });
    INFO(to_string(algorithm));
    CHECK(measured == sent);
    CHECK(wrong == 0);
  }
}

TEST_CASE("overlapping messages of an edge are busy once, and small ones are left out") {
  EdgeLog log(0);
  const EdgeLog::Instant start{std::chrono::seconds(1)};
  const auto at = [&](int ms) { return start + milliseconds(ms); };
  log.moved(1, 0, size, at(0), at(10));
  log.moved(1, 0, size, at(5), at(20));
  log.moved(1, 0, size, at(40), at(50));
  log.moved(0, 1, EdgeLog::least_bytes - 1, at(0), at(10));
  on_ranks(1, [&](Transport& transport) { log.settle(transport, SharedClock({0}), within(1)); });
  REQUIRE(log.totals().size() == 1);
  CHECK(log.totals()[0].messages == 3);
  CHECK(log.totals()[0].busy.value == Approx(0.030));
}

TEST_CASE("clocks of other machines are brought to the first rank's, and their drift too") {
  // Ranks 1 and 2 share a machine whose clock is 5 s ahead and gains a tenth.
  const auto skew = [](std::int64_t now) { return now + now / 10 + 5'000'000'000; };
  const auto skewed = [&] { return skew(SharedClock::steady_now()); };
  std::atomic<int> right = 0;
  on_ranks(3, [&](Transport& transport) {
    const bool home = transport.rank() == 0;
    SharedClock clock({0, 1, 1}, home ? SharedClock::Now(SharedClock::steady_now) : skewed);
    const WaitResult first = clock.compare(transport, within(20));
    std::this_thread::sleep_for(milliseconds(1000));
    const std::int64_t real = SharedClock::steady_now(), own = home ? real : skew(real);
    std::this_thread::sleep_for(milliseconds(1000));
    const WaitResult second = clock.compare(transport, within(20));
    const bool done = first.state == WaitState::done && second.state == WaitState::done;
    // Without the drift it would be 100 ms.
    right += done && std::abs(clock.common(own) - real) < 50'000'000;
  });
  CHECK(right == 3);
}

TEST_CASE("a rank that does not come to the exchange is named") {
  on_ranks(2, [&](Transport& transport) {
    if (transport.rank() == 1) return;
    EdgeLog log(0);
    log.expected(1, tag, size);
    const WaitResult result = log.settle(transport, SharedClock({0, 0}), within(0.1));
    CHECK(result.state == WaitState::timeout);
    CHECK(result.peer == 1);
  });
}

}  // namespace
}  // namespace railwright::worker
