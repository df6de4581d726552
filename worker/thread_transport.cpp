#include "worker/thread_transport.hpp"

#include <cassert>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>

namespace railwright::worker {

namespace {

struct Posted {
  std::uint64_t id = 0;
  const std::byte* from = nullptr;
  std::byte* into = nullptr;
  std::size_t size = 0;
};

using Channel = std::tuple<int, int, int>;  // source, target, tag

struct Pending {
  Channel channel;
  bool sends = false;
  int peer = -1;
  WaitState state = WaitState::pending;
};

}  // namespace

struct ThreadWorld::State {
  explicit State(int ranks_) : ranks(ranks_) {}
  const int ranks;
  std::mutex mutex;
  std::uint64_t next_id = 1;
  std::map<Channel, std::deque<Posted>> sends, receives;
  std::map<std::uint64_t, Pending> pending;

  void match(const Channel& channel);
  std::uint64_t post(const Channel& channel, bool is_send, int peer, Posted posted);
};

void ThreadWorld::State::match(const Channel& channel) {
  auto& waiting_sends = sends[channel];
  auto& waiting_receives = receives[channel];
  while (!waiting_sends.empty() && !waiting_receives.empty()) {
    const Posted send = waiting_sends.front(), receive = waiting_receives.front();
    waiting_sends.pop_front();
    waiting_receives.pop_front();
    const bool fits = send.size == receive.size;
    if (fits && send.size > 0) std::memcpy(receive.into, send.from, send.size);
    for (const std::uint64_t id : {send.id, receive.id})
      pending.at(id).state = fits ? WaitState::done : WaitState::failed;
  }
}

std::uint64_t ThreadWorld::State::post(const Channel& channel, bool is_send, int peer,
                                       Posted posted) {
  assert(peer >= 0 && peer < ranks);
  const std::lock_guard lock(mutex);
  posted.id = next_id++;
  pending[posted.id] = {channel, is_send, peer, WaitState::pending};
  (is_send ? sends : receives)[channel].push_back(posted);
  match(channel);
  return posted.id;
}

namespace {

class ThreadTransport : public Transport {
 public:
  ThreadTransport(ThreadWorld::State& world, int rank) : world_(world), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return world_.ranks; }
  Buffer register_buffer(std::span<std::byte> bytes, MemoryKind memory) override {
    assert(memory == MemoryKind::host);
    return {bytes, memory};
  }
  void unregister_buffer(const Buffer&) override {}
  Request post_send(int peer, int tag, std::span<const std::byte> bytes) override {
    return {world_.post({rank_, peer, tag}, true, peer, {0, bytes.data(), nullptr, bytes.size()})};
  }
  Request post_receive(int peer, int tag, std::span<std::byte> bytes) override {
    return {world_.post({peer, rank_, tag}, false, peer, {0, nullptr, bytes.data(), bytes.size()})};
  }
  WaitResult test(Request request) override {
    const std::lock_guard lock(world_.mutex);
    const auto found = world_.pending.find(request.id);
    assert(found != world_.pending.end() && "a request is tested until it is done, not longer");
    const WaitResult result = {found->second.state, found->second.peer};
    if (result.state != WaitState::pending) world_.pending.erase(found);
    return result;
  }
  void cancel(Request request) override {
    const std::lock_guard lock(world_.mutex);
    const auto found = world_.pending.find(request.id);
    if (found == world_.pending.end()) return;
    auto& queue = (found->second.sends ? world_.sends : world_.receives)[found->second.channel];
    std::erase_if(queue, [&](const Posted& posted) { return posted.id == request.id; });
    world_.pending.erase(found);
  }

 private:
  ThreadWorld::State& world_;
  int rank_;
};

}  // namespace

ThreadWorld::ThreadWorld(int ranks) : state_(std::make_unique<State>(ranks)) { assert(ranks >= 1); }
ThreadWorld::~ThreadWorld() = default;

std::unique_ptr<Transport> ThreadWorld::transport(int rank) {
  assert(rank >= 0 && rank < state_->ranks);
  return std::make_unique<ThreadTransport>(*state_, rank);
}

}  // namespace railwright::worker
