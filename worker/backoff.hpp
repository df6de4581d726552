// Waiting politely: spin while the answer is likely near, then give the core to whoever needs it.
#pragma once

#include <sched.h>

namespace railwright::worker {

class Backoff {
 public:
  explicit Backoff(int spin_budget) : spin_budget_(spin_budget) {}
  // True when it yielded: time to look at the clock.
  bool pause() {
    if (++spins_ < spin_budget_) {
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
  int spin_budget_;
  int spins_ = 0;
};

}  // namespace railwright::worker
