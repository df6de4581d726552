// A thread that takes no signals, so that they reach the one that follows the run.
#pragma once

#include <signal.h>

#include <thread>
#include <utility>

namespace railwright::coordinator {

template <class Run>
std::thread unsignalled(Run&& run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::thread thread(std::forward<Run>(run));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace railwright::coordinator
