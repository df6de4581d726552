// Where a group inside one machine meets: lines of its own, so that groups that overlap in time
// never share one, and for each member two slots for small vectors.
//
// Collectives of a group are numbered. A member arrives with number n by publishing its arrival
// line of n; the lines and slots of n and n+1 alternate. Whoever has seen everybody arrive with n+1
// knows that everybody is through with n, so those of n are free for n+2: each collective waits for
// every arrival, also where it needs no data from there.
#pragma once

#include <memory>
#include <vector>

#include "worker/shm/node.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {

class Meeting {
 public:
  static constexpr std::size_t slot_size = 8192;

  // Collective over the group; the first member lends the memory. `meeting` is set when done.
  static WaitResult make(SharedNode& node, const Group& group, Transport::Deadline deadline,
                         std::unique_ptr<Meeting>& meeting);
  ~Meeting();
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  int size() const { return static_cast<int>(members_.size()); }
  int index() const { return index_; }
  int member(int index) const { return members_[index]; }  // of the node

  void begin() { ++number_; }
  // Of the current collective; a few bytes travel in the line that says that they are there.
  std::byte* slot(int index, std::size_t size) const;
  // Says that this rank's input is ready: in its slot, or at `place` of its segment.
  void arrive(std::uint64_t place);
  std::uint64_t place(int index) const;  // that an arrived member gave
  WaitResult wait_for_arrivals(Transport::Deadline deadline);
  // Says that this rank has written and read what it had to in the memory of others.
  void finish();
  WaitResult wait_for_ends(Transport::Deadline deadline);

 private:
  struct Stand;
  Meeting(SharedNode& node, const Group& group, std::uint64_t place);
  Stand& stand(int index) const;

  SharedNode& node_;
  std::vector<int> members_;
  int index_ = 0;
  std::byte* memory_ = nullptr;
  std::uint64_t number_ = 0;
};

}  // namespace railwright::worker
