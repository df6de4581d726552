// How the ranks of a plan exchange what they computed: the plan's groups and schedules over a
// Backend, messages between stages over a Transport.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "worker/edges.hpp"
#include "worker/shared_clock.hpp"
#include "worker/train/matrix.hpp"
#include "worker/worker.hpp"

namespace railwright::worker::train {

using workload::Dimension;

// Thrown by every exchange when a peer does not come or its connection fails.
struct PeerLost {
  WaitResult result;
};

// The planned schedule, where it leaves parts in the order of the ranks; a ring where it does not:
// `hierarchical` deals the parts out node by node, and switches that add are none of a Transport's.
collectives::Schedule training_schedule(const emulator::Plan& plan, Dimension group,
                                        workload::Operation operation, Bytes size, bool opaque);

// All calls are collective over the group and in place; those over a group of one do nothing.
class Exchange {
 public:
  Exchange(const emulator::Plan& plan, Transport& transport, Backend& backend, Seconds timeout);

  // Collective over the world, before anything else: the backend makes its groups ready.
  void prepare();
  // Called before PeerLost is thrown: what is unwound then may wait for a disk that hangs.
  void when_lost(std::function<void(const PeerLost&)> tell) { when_lost_ = std::move(tell); }

  int rank() const { return transport_.rank(); }
  void wait_up_to(Seconds timeout) { timeout_ = timeout; }  // for a peer, from now on
  const Group& group(Dimension dimension) const;            // tp, dp
  int ranks(Dimension dimension) const { return static_cast<int>(group(dimension).ranks.size()); }
  // This rank's of as many equal parts as the group has ranks; the length is a multiple of them.
  std::span<float> own_part(Dimension dimension, std::span<float> values) const;

  void all_reduce(Dimension dimension, std::span<float> values);
  void reduce_scatter(Dimension dimension, std::span<float> values);  // into own_part
  void all_gather(Dimension dimension, std::span<float> values);      // from own_part
  // reduce_scatter whose sum is ((x0 + x1) + x2) + .. in the order of the ranks, as one rank would
  // add: every contribution goes to the rank that owns the part (all-to-all).
  void reduce_scatter_in_order(Dimension dimension, std::span<float> values);

  // A message leaves while the work goes on; `finish_sends` before the next one of this kind is
  // needed by nobody, at the end of a step.
  void send(int peer, int tag, Matrix message);
  void receive(int peer, int tag, std::span<std::byte> message);
  void finish_sends();
  void post(int peer, int tag, std::string bytes);  // of any length
  std::string take(int peer, int tag);              // the other end

  // Everybody waits for everybody, and `value` becomes the largest that anybody came with.
  void agree_on_largest(double& value);
  // Every rank does its own `work` on a thread beside, however long that takes, and goes on when
  // all are done. Meanwhile they keep answering each other: slow work is no silence, and a rank
  // that stands still is lost as it would be elsewhere. No exchange inside `work`; what it throws
  // comes out here.
  void work_together(const std::function<void()>& work);
  // Everybody, while no messages are under way: what `edges` has timed comes together.
  void settle(EdgeLog& edges, SharedClock& clock);
  Seconds spent() const { return spent_; }    // in collectives, over all calls
  Seconds waited() const { return waited_; }  // for others of a group, before its collectives

 private:
  void run(Dimension dimension, workload::Operation operation, std::span<float> values,
           std::size_t vector);
  void require(const WaitResult& result) const;
  Transport::Deadline deadline() const;

  const emulator::Plan& plan_;
  Transport& transport_;
  Backend& backend_;
  Seconds timeout_;
  std::function<void(const PeerLost&)> when_lost_;
  Group tensor_, data_, everybody_;
  Reducer reducer_{DataType::float32, ReduceOp::sum};
  struct Sending {
    Matrix message;
    std::string bytes;
    std::uint64_t length = 0;
    std::vector<Request> requests;
  };
  std::list<Sending> sendings_;
  std::vector<float> rows_;  // of all-to-alls
  Seconds spent_, waited_;
};

}  // namespace railwright::worker::train
