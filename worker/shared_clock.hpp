// Moments of different machines on one clock: that of the first rank.
//
// Each machine's clock ticks at a rate of its own, so its distance from the first rank's is
// measured again and again; in between it is taken to change evenly.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "worker/transport.hpp"

namespace railwright::worker {

class SharedClock {
 public:
  using Now = std::function<std::int64_t()>;  // ns of this machine's steady clock
  static std::int64_t steady_now();

  // `first_of`: of every rank the first rank of its machine, which has the same clock.
  explicit SharedClock(std::vector<int> first_of, Now now = steady_now)
      : first_of_(std::move(first_of)), now_(std::move(now)) {}
  // Collective. Nothing moves where all ranks are on one machine. A few round trips between the
  // first rank of each machine and the first of all, one machine after the other; half of the
  // shortest is the uncertainty.
  WaitResult compare(Transport& transport, Transport::Deadline deadline);
  // This machine's moment on the first rank's clock.
  std::int64_t common(std::int64_t own) const;

 private:
  WaitResult send(Transport& transport, int peer, int tag, std::int64_t value,
                  Transport::Deadline deadline);
  WaitResult receive(Transport& transport, int peer, int tag, std::int64_t& value,
                     Transport::Deadline deadline);
  WaitResult ask(Transport& transport, std::int64_t& ahead, Transport::Deadline deadline);
  WaitResult answer(Transport& transport, int peer, Transport::Deadline deadline);
  WaitResult tell(Transport& transport, std::int64_t& ahead, Transport::Deadline deadline);
  struct Point {
    std::int64_t moment = 0, ahead = 0;  // own clock; how much more the first rank's shows
  };
  std::vector<int> first_of_;
  Now now_;
  Point before_, latest_;
  bool compared_ = false;
  std::int64_t message_ = 0;  // kept: one that is given up may still arrive
};

}  // namespace railwright::worker
