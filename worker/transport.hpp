// Moving bytes between ranks: post, test, wait with a deadline. Two implementations: MPI
// point-to-point, and ranks as threads of one process for tests.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace railwright::worker {

enum class MemoryKind : std::uint8_t { host, device };

// Memory registered with a transport; registering is where pinning and RDMA keys will live.
struct Buffer {
  std::span<std::byte> bytes;
  MemoryKind memory = MemoryKind::host;
};

struct Request {
  std::uint64_t id = 0;
};

enum class WaitState : std::uint8_t { pending, done, timeout, failed };
struct WaitResult {
  WaitState state = WaitState::pending;
  int peer = -1;  // of timeout and failed: whom it waited for, rank of the world
};

// One communication thread per process calls these (MPI_THREAD_FUNNELED).
class Transport {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual Buffer register_buffer(std::span<std::byte> bytes, MemoryKind memory) = 0;
  virtual void unregister_buffer(const Buffer& buffer) = 0;
  // Slices of registered buffers; matched by (peer, tag) in order. Valid until done or cancelled.
  virtual Request post_send(int peer, int tag, std::span<const std::byte> bytes) = 0;
  virtual Request post_receive(int peer, int tag, std::span<std::byte> bytes) = 0;
  virtual WaitResult test(Request request) = 0;
  virtual void cancel(Request request) = 0;
  // Polls test() until it is no longer pending or the deadline has passed.
  WaitResult wait(Request request, Deadline deadline);
  // Each in turn; those that are not done at the deadline are cancelled. Done, or how the last one
  // that was not done ended.
  WaitResult wait_for(std::span<const Request> requests, Deadline deadline);
  // Lets messages under way move on, for whoever waits for something else.
  virtual void progress() {}
  // Polls in vain before the core is yielded: many where every rank has a core of its own (giving
  // it away costs a time slice), few where ranks share cores.
  virtual int spin_budget() const { return 200; }
};

}  // namespace railwright::worker
