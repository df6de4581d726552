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

}  // namespace railwright::worker
