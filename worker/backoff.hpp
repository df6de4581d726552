// Waiting politely: spin while the answer is likely near, then give the core to whoever needs it,
// because ranks may exceed cores.
#pragma once

#include <sched.h>

namespace railwright::worker {

class Backoff {
 public:
  // True when it yielded: time to look at the clock.
  bool pause() {
    if (++spins_ < spin_budget) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
      return false;
    }
    sched_yield();
    return true;
  }
  void reset() { spins_ = 0; }

 private:
  static constexpr int spin_budget = 200;
  int spins_ = 0;
};

}  // namespace railwright::worker
