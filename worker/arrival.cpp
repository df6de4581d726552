#include <algorithm>
#include <thread>
#include <vector>

#include "worker/worker.hpp"

namespace railwright::worker {

int tag_range(workload::Dimension dimension) {
  return (1 + static_cast<int>(dimension)) * tags_per_range;
}

Bytes buffer_bytes(const collectives::Schedule& schedule, Bytes size) {
  const bool rows = schedule.operation == collectives::Operation::all_to_all;
  return {size.count * (rows ? static_cast<std::uint64_t>(schedule.ranks) : 1)};
}

Bytes vector_bytes(const collectives::Schedule& schedule, std::size_t buffer_bytes) {
  const bool rows = schedule.operation == collectives::Operation::all_to_all;
  return {buffer_bytes / (rows ? static_cast<std::uint64_t>(schedule.ranks) : 1)};
}

namespace {

constexpr int slowest_tags = arrival_tags + 16, silence_tag = arrival_tags + 32;

// In round k a rank tells the one 2^k ahead and hears from the one 2^k behind: after the last round
// it has heard, directly or not, from everybody. With `largest` the messages carry a number.
WaitResult meet(Transport& transport, const Group& group, int tags, Transport::Deadline deadline,
                double* largest) {
  const int ranks = static_cast<int>(group.ranks.size());
  const int tag = tags + static_cast<int>(group.dimension);
  const std::size_t width = largest == nullptr ? 0 : sizeof *largest;
  for (int distance = 1; distance < ranks; distance *= 2) {
    const int ahead = group.ranks[(group.index + distance) % ranks];
    const int behind = group.ranks[(group.index - distance + ranks) % ranks];
    double in = 0, out = largest == nullptr ? 0 : *largest;
    const Request receive =
        transport.post_receive(behind, tag, std::as_writable_bytes(std::span(&in, 1)).first(width));
    const Request send =
        transport.post_send(ahead, tag, std::as_bytes(std::span(&out, 1)).first(width));
    const WaitResult heard = transport.wait(receive, deadline);
    const WaitResult told = transport.wait(send, deadline);
    if (heard.state == WaitState::timeout) transport.cancel(receive);
    if (told.state == WaitState::timeout) transport.cancel(send);
    if (heard.state != WaitState::done) return heard;
    if (told.state != WaitState::done) return told;
    if (largest != nullptr) *largest = std::max(*largest, in);
  }
  return {WaitState::done, -1};
}

struct Talk {
  Request request;
  bool open = true;
};

// Tests each until its end or the deadline; what is still open then is cancelled.
void wait_for_all(Transport& transport, std::vector<Talk>& talks, Transport::Deadline deadline) {
  std::size_t open = talks.size();
  while (open > 0 && Transport::Deadline::clock::now() < deadline) {
    for (Talk& talk : talks) {
      if (!talk.open || transport.test(talk.request).state == WaitState::pending) continue;
      talk.open = false;
      --open;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const Talk& talk : talks)
    if (talk.open) transport.cancel(talk.request);
}

}  // namespace

WaitResult arrive(Transport& transport, const Group& group, Transport::Deadline deadline) {
  return meet(transport, group, arrival_tags, deadline, nullptr);
}

WaitResult agree_on_slowest(Transport& transport, const Group& group, Transport::Deadline deadline,
                            Seconds& time) {
  return meet(transport, group, slowest_tags, deadline, &time.value);
}

WaitResult silent_rank(Transport& transport, const WaitResult& timeout,
                       Transport::Deadline deadline) {
  if (timeout.state != WaitState::timeout || timeout.peer < 0) return timeout;
  constexpr int nothing = -1;
  std::vector<int> waits_for(transport.size(), nothing);
  waits_for[transport.rank()] = timeout.peer;
  const int mine = timeout.peer;
  std::vector<Talk> talks;
  for (int peer = 0; peer < transport.size(); ++peer) {
    if (peer == transport.rank()) continue;
    talks.push_back({transport.post_receive(
        peer, silence_tag, std::as_writable_bytes(std::span(&waits_for[peer], 1)))});
    talks.push_back({transport.post_send(peer, silence_tag, std::as_bytes(std::span(&mine, 1)))});
  }
  wait_for_all(transport, talks, deadline);
  int last = transport.rank();
  for (int hops = 0; hops < transport.size() && waits_for[last] != nothing; ++hops)
    last = waits_for[last];
  const bool circle = waits_for[last] != nothing;
  return {WaitState::timeout, circle ? timeout.peer : last};
}

}  // namespace railwright::worker
