// One communicator of NCCL and what can go wrong with it.
#pragma once

#include <functional>

#include "worker/nccl/library.hpp"

namespace railwright::worker::nccl {

// Outcome of a call: done, past its deadline, or failed with NCCL's words.
struct Outcome {
  WaitState state = WaitState::done;
  std::string why;
};

class Communicator {
 public:
  explicit Communicator(const Library& library) : library_(library) {}
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  // Collective over the group. The ids go from the ranks that make them to all others over the
  // transport. `most_ctas`: a hint, 0 leaves it to NCCL.
  Outcome join(Transport& transport, const Group& group, int most_ctas,
               Transport::Deadline deadline);
  // Collective over `parent`, whose ranks are the world's: the ranks of a group become one, in its
  // order. No ids go round, and NCCL can share what it holds.
  Outcome split_from(const Communicator& parent, const Group& group, int most_ctas,
                     Transport::Deadline deadline);
  // What a call of NCCL returned, and then what has become of it: polled until it is no longer in
  // progress.
  Outcome settle(ncclResult_t result, Transport::Deadline deadline) const;
  // Looks once; done when there is no error.
  Outcome look() const;
  void abort();
  ncclComm_t get() const { return communicator_; }

 private:
  const Library& library_;
  ncclComm_t communicator_ = nullptr;
};

}  // namespace railwright::worker::nccl
