// Ranks as threads of one process: every algorithm can be run with real data in a unit test.
#pragma once

#include <memory>

#include "worker/transport.hpp"

namespace railwright::worker {

// What the ranks share. A send is done when its receive has taken the bytes; a receive shorter or
// longer than its send fails at both ends.
class ThreadWorld {
 public:
  explicit ThreadWorld(int ranks);
  ~ThreadWorld();
  // The transport of one rank; the world must outlive it.
  std::unique_ptr<Transport> transport(int rank);
  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace railwright::worker
