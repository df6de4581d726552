// How fast the edges between ranks are, from the time stamps of what went over them.
//
// An edge is busy from the moment at which both ends have posted a message until it has arrived:
// neither a late sender nor a late receiver counts. The sender knows when it posted, the receiver
// the rest; settle() brings both together between steps. In shared memory one rank does it all. A
// sum reads all its sources at once, so each of those edges is busy for as long as the sum takes.
//
// Messages of 16 KiB and more are timed, of each edge and tag the first 4,096 since the last
// settle(): what is smaller says more about latency.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "topology/units.hpp"
#include "worker/shared_clock.hpp"
#include "worker/transport.hpp"

namespace railwright::worker {

// Ranks of the world.
struct EdgeTotal {
  int source = 0, target = 0;
  std::int64_t messages = 0;
  Bytes bytes;
  Seconds busy;  // overlapping messages count once
};

class EdgeLog {
 public:
  using Clock = std::chrono::steady_clock;
  using Instant = Clock::time_point;
  static constexpr std::size_t least_bytes = 16 << 10, most_messages = 4096;

  // A message that this rank waits for.
  struct Ticket {
    static constexpr std::size_t untimed = ~std::size_t{0};
    std::size_t stream = untimed, message = untimed;
  };

  explicit EdgeLog(int rank) : rank_(rank) {}
  // As it is posted; (peer, tag) as of the transport, which keeps their order.
  void sent(int peer, int tag, std::size_t bytes);
  Ticket expected(int peer, int tag, std::size_t bytes);
  void arrived(Ticket ticket);
  // By this rank, in memory that both share.
  void moved(int source, int target, std::size_t bytes, Instant begin, Instant end);

  // Collective over the ranks that have exchanged messages, while none are under way.
  WaitResult settle(Transport& transport, const SharedClock& clock, Transport::Deadline deadline);
  // Of edges that end here or that this rank has written over itself, in the order of their ranks.
  std::vector<EdgeTotal> totals() const;

 private:
  struct Message {
    std::int64_t posted = 0, arrived = 0;  // ns
    std::size_t bytes = 0;
  };
  struct Stream {
    int peer = 0, tag = 0;
    std::vector<Message> messages;
  };
  struct Interval {
    std::int64_t begin = 0, end = 0;
    std::size_t bytes = 0;
  };
  using Edge = std::pair<int, int>;

  static std::int64_t in_ns(Instant moment) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(moment.time_since_epoch()).count();
  }
  static std::size_t stream_of(std::vector<Stream>& streams, int peer, int tag);
  using Moments = std::vector<std::vector<std::int64_t>>;  // of every message of every stream
  Moments own_moments(const SharedClock& clock) const;
  WaitResult exchange(Transport& transport, Transport::Deadline deadline);
  void add_up();

  int rank_;
  std::vector<Stream> out_, in_;  // few: found by looking at all
  Moments own_, theirs_;          // kept: a message that is given up may still arrive
  std::map<Edge, std::vector<Interval>> seen_;
  std::map<Edge, EdgeTotal> totals_;
};

}  // namespace railwright::worker
