// Runs one function per rank, each on its own thread with its own transport.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "worker/thread_transport.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {

inline void on_ranks(int ranks, const std::function<void(Transport&)>& run) {
  ThreadWorld world(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] { run(*world.transport(rank)); });
  for (std::thread& thread : threads) thread.join();
}

inline Group everybody(int ranks, int index) {
  Group group;
  for (int rank = 0; rank < ranks; ++rank) group.ranks.push_back(rank);
  group.index = index;
  return group;
}

inline Transport::Deadline within(double seconds) {
  return Transport::Deadline::clock::now() +
         std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6));
}

}  // namespace railwright::worker
