#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "worker/world.hpp"

namespace railwright::worker {
namespace {

// Process-wide, as signals are.
struct Watched {
  std::mutex mutex;
  std::vector<std::string> hosts;
  std::vector<pid_t> processes;
  int rank = -1;
  std::atomic<int> leaving{-1};
};

Watched& watched() {
  static Watched* const state = new Watched;  // outlives every thread
  return *state;
}

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  return signals;
}

// Only ranks of this machine can be looked at from here.
std::string lost_ranks() {
  Watched& state = watched();
  const std::lock_guard lock(state.mutex);
  std::string text;
  for (std::size_t rank = 0; rank < state.processes.size(); ++rank) {
    const bool here = state.hosts[rank] == state.hosts[state.rank];
    if (here && kill(state.processes[rank], 0) != 0 && errno == ESRCH)
      text += fmt::format("rank {} on {} lost\n", rank, state.hosts[rank]);
  }
  return text;
}

void wait_for_end() {
  const sigset_t signals = watched_signals();
  int number = 0;
  sigwait(&signals, &number);
  if (watched().leaving >= 0) _exit(watched().leaving);
  const std::string lost = lost_ranks();
  if (write(STDERR_FILENO, lost.data(), lost.size()) < 0) _exit(exit_failed);
  _exit(lost.empty() ? 128 + SIGTERM : exit_peer_lost);
}

}  // namespace

Watch::Watch() {
  const sigset_t signals = watched_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread(wait_for_end).detach();
}

Watch::~Watch() = default;

void Watch::observe(const World& world) {
  Watched& state = watched();
  const std::lock_guard lock(state.mutex);
  state.hosts = world.hosts;
  state.processes = world.processes;
  state.rank = world.rank;
}

void Watch::leave(int status) { watched().leaving = status; }

}  // namespace railwright::worker
