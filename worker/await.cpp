#include "worker/await.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <numeric>
#include <vector>

namespace railwright::worker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int roll_call_tag = 32'000;  // of MPI_COMM_WORLD, where nothing else is sent

Clock::duration duration_of(Seconds time) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time.value));
}

// Most collectives are over at once; who waits longer leaves the core to those that work.
void nap(int looks) {
  constexpr int eager_looks = 1000;
  if (looks < eager_looks)
    sched_yield();
  else
    std::this_thread::sleep_for(std::chrono::microseconds(200));
}

// As ranks of the world.
std::vector<int> members_of(MPI_Comm communicator) {
  int size = 0;
  MPI_Comm_size(communicator, &size);
  std::vector<int> own(size), world(size);
  std::iota(own.begin(), own.end(), 0);
  MPI_Group group, everybody;
  MPI_Comm_group(communicator, &group);
  MPI_Comm_group(MPI_COMM_WORLD, &everybody);
  MPI_Group_translate_ranks(group, size, own.data(), everybody, world.data());
  MPI_Group_free(&group);
  MPI_Group_free(&everybody);
  return world;
}

bool is_called() {
  int called = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, roll_call_tag, MPI_COMM_WORLD, &called, MPI_STATUS_IGNORE);
  return called != 0;
}

// Everybody who waits tells everybody; the first who is not heard is the one that is missing.
[[noreturn]] void call_the_roll(const World& world, MPI_Comm communicator) {
  const std::vector<int> members = members_of(communicator);
  std::vector<MPI_Request> answers(members.size(), MPI_REQUEST_NULL), calls = answers;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i] == world.rank) continue;
    MPI_Irecv(nullptr, 0, MPI_BYTE, members[i], roll_call_tag, MPI_COMM_WORLD, &answers[i]);
    MPI_Isend(nullptr, 0, MPI_BYTE, members[i], roll_call_tag, MPI_COMM_WORLD, &calls[i]);
  }
  const auto until =
      Clock::now() + duration_of(std::min(seconds(5), Seconds{world.patience.value / 4}));
  int missing = 1;
  while (missing > 0 && Clock::now() < until) {
    missing = 0;
    for (MPI_Request& answer : answers) {
      int come = 0;
      MPI_Test(&answer, &come, MPI_STATUS_IGNORE);
      missing += come == 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const auto absent =
      std::ranges::find_if(answers, [](MPI_Request answer) { return answer != MPI_REQUEST_NULL; });
  const int peer = absent == answers.end() ? -1 : members[absent - answers.begin()];
  give_up(world, {WaitState::timeout, peer}, world.patience);
}

}  // namespace

void await(const World& world, MPI_Comm communicator, MPI_Request request) {
  const auto deadline = Clock::now() + duration_of(world.patience);
  for (int looks = 0;; ++looks) {
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    nap(looks);
    if (Clock::now() >= deadline || is_called()) call_the_roll(world, communicator);
  }
}

void meet(const World& world, MPI_Comm communicator) {
  MPI_Request request;
  MPI_Ibarrier(communicator, &request);
  await(world, communicator, request);
}

std::uint64_t reduced(const World& world, MPI_Comm communicator, std::uint64_t value, MPI_Op how) {
  std::uint64_t result = 0;
  MPI_Request request;
  MPI_Iallreduce(&value, &result, 1, MPI_UINT64_T, how, communicator, &request);
  await(world, communicator, request);
  return result;
}

bool everybody(const World& world, MPI_Comm communicator, bool here) {
  return reduced(world, communicator, here ? 1 : 0, MPI_MIN) != 0;
}

Watchdog::Watchdog(const World& world, std::string call)
    : thread_([rank = world.rank, patience = world.patience,
               call = std::move(call)](const std::stop_token& stop) {
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any woken;
        woken.wait_for(lock, stop, duration_of(patience), [] { return false; });
        if (stop.stop_requested()) return;
        std::cerr << fmt::format("rank {}: {} does not end for {:.3g} s: a rank is lost\n", rank,
                                 call, patience.value)
                  << std::flush;
        _exit(exit_peer_lost);
      }) {}

}  // namespace railwright::worker
