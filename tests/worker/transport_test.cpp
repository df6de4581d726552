#include "worker/transport.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/worker/ranks.hpp"

namespace railwright::worker {
namespace {

TEST_CASE("messages between two ranks with one tag are matched in order") {
  std::atomic<int> wrong = 0;
  on_ranks(2, [&](Transport& transport) {
    std::vector<int> values(100);
    std::vector<Request> requests;
    for (int i = 0; i < 100; ++i) {
      const auto bytes = std::as_writable_bytes(std::span(&values[i], 1));
      if (transport.rank() == 0) {
        values[i] = i;
        requests.push_back(transport.post_send(1, 7, bytes));
      } else {
        requests.push_back(transport.post_receive(0, 7, bytes));
      }
    }
    for (const Request request : requests)
      wrong += transport.wait(request, within(20)).state != WaitState::done;
    for (int i = 0; i < 100; ++i) wrong += values[i] != i;
  });
  CHECK(wrong == 0);
}

TEST_CASE("tags keep messages apart") {
  std::atomic<int> wrong = 0;
  on_ranks(2, [&](Transport& transport) {
    int first = transport.rank() == 0 ? 1 : 0, second = transport.rank() == 0 ? 2 : 0;
    const auto a = std::as_writable_bytes(std::span(&first, 1));
    const auto b = std::as_writable_bytes(std::span(&second, 1));
    const bool sends = transport.rank() == 0;
    const Request one = sends ? transport.post_send(1, 1, a) : transport.post_receive(0, 2, b);
    const Request two = sends ? transport.post_send(1, 2, b) : transport.post_receive(0, 1, a);
    for (const Request request : {one, two})
      wrong += transport.wait(request, within(20)).state != WaitState::done;
    wrong += first != 1 || second != 2;
  });
  CHECK(wrong == 0);
}

TEST_CASE("a send whose receive has another length fails at both ends") {
  std::atomic<int> failed = 0;
  on_ranks(2, [&](Transport& transport) {
    std::byte bytes[8] = {};
    const Request request = transport.rank() == 0
                                ? transport.post_send(1, 1, bytes)
                                : transport.post_receive(0, 1, std::span(bytes).first(4));
    const WaitResult result = transport.wait(request, within(20));
    failed += result.state == WaitState::failed && result.peer == 1 - transport.rank();
  });
  CHECK(failed == 2);
}

TEST_CASE("a wait past its deadline is a timeout that names the peer, and can be cancelled") {
  std::atomic<int> passed = 0;
  on_ranks(2, [&](Transport& transport) {
    if (transport.rank() == 1) return;
    std::byte bytes[8] = {};
    const Request request = transport.post_receive(1, 1, bytes);
    CHECK(transport.test(request).state == WaitState::pending);
    const auto start = std::chrono::steady_clock::now();
    const WaitResult result = transport.wait(request, within(0.05));
    passed += result.state == WaitState::timeout && result.peer == 1;
    passed += std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(50);
    transport.cancel(request);
  });
  CHECK(passed == 2);
}

}  // namespace
}  // namespace railwright::worker
