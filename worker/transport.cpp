#include "worker/transport.hpp"

#include "worker/backoff.hpp"

namespace railwright::worker {

WaitResult Transport::wait(Request request, Deadline deadline) {
  Backoff backoff(spin_budget());
  for (;;) {
    WaitResult result = test(request);
    if (result.state != WaitState::pending) return result;
    if (backoff.pause() && Deadline::clock::now() >= deadline) {
      result.state = WaitState::timeout;
      return result;
    }
  }
}

WaitResult Transport::wait_for(std::span<const Request> requests, Deadline deadline) {
  WaitResult result{WaitState::done, -1};
  for (const Request request : requests) {
    const WaitResult one = wait(request, deadline);
    if (one.state == WaitState::timeout) cancel(request);
    if (one.state != WaitState::done) result = one;
  }
  return result;
}

}  // namespace railwright::worker
