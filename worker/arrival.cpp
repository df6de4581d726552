#include <array>
#include <cassert>

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

// In round k a rank tells the one 2^k ahead and hears from the one 2^k behind: after the last round
// it has heard, directly or not, from everybody.
WaitResult arrive(Transport& transport, const Group& group, Transport::Deadline deadline) {
  const int ranks = static_cast<int>(group.ranks.size());
  const int tag = arrival_tags + static_cast<int>(group.dimension);
  for (int distance = 1; distance < ranks; distance *= 2) {
    const int ahead = group.ranks[(group.index + distance) % ranks];
    const int behind = group.ranks[(group.index - distance + ranks) % ranks];
    const Request receive = transport.post_receive(behind, tag, {});
    const Request send = transport.post_send(ahead, tag, {});
    const WaitResult heard = transport.wait(receive, deadline);
    const WaitResult told = transport.wait(send, deadline);
    if (heard.state == WaitState::timeout) transport.cancel(receive);
    if (told.state == WaitState::timeout) transport.cancel(send);
    if (heard.state != WaitState::done) return heard;
    if (told.state != WaitState::done) return told;
  }
  return {WaitState::done, -1};
}

}  // namespace railwright::worker
