// The ranks of one machine and the memory they share: who lives here, buffers that every one of
// them can read and write, and letters between two of them.
//
//   SharedNode node(segments);
//   std::span<std::byte> buffer = node.allocate(size);   // in this rank's own segment
//   node.place_of(buffer)                                // what a peer needs to find it ...
//   node.at(member, place)                               // ... there
//
// A segment begins with control lines; the rest is a heap that its owner alone allocates from.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "worker/shm/line.hpp"
#include "worker/shm/segments.hpp"
#include "worker/transport.hpp"

namespace railwright::worker {

class SharedNode {
 public:
  explicit SharedNode(Segments segments);
  SharedNode(const SharedNode&) = delete;
  SharedNode& operator=(const SharedNode&) = delete;

  int members() const { return static_cast<int>(segments_.ranks.size()); }
  int index() const { return segments_.index; }
  int member_of(int rank) const;  // of the world; -1: not on this machine
  int rank_of(int member) const { return segments_.ranks[member]; }

  // From this rank's segment: whole cache lines, whole pages where it is larger than one. Empty
  // where too little is left.
  std::span<std::byte> allocate(std::size_t size);
  void release(std::span<std::byte> bytes);
  // Bytes from the start of this rank's segment; absent for memory elsewhere.
  std::optional<std::uint64_t> place_of(std::span<const std::byte> bytes) const;
  std::byte* at(int member, std::uint64_t place) const {
    return segments_.memory[member].data() + place;
  }

  // A number to another member, who takes letters in the order of their posting; waits while the
  // letter before is not taken.
  WaitResult post_letter(int member, std::uint64_t letter, Transport::Deadline deadline);
  WaitResult take_letter(int member, std::uint64_t& letter, Transport::Deadline deadline);

  // Polls until the line's number has reached `number`. The peer of a timeout is that member.
  WaitResult wait_for(Line& line, std::uint64_t number, int member, Transport::Deadline deadline);
  // How long to poll before the core is yielded, and what to do then: other traffic goes on.
  void set_patience(int spin_budget, std::function<void()> meanwhile);

  // Room that a segment needs beside `payload` bytes of buffers.
  static Bytes segment_size(int members, Bytes payload);

 private:
  Line& letter_line(int owner, int from) const;
  Line& taken_line(int owner, int by) const;

  Segments segments_;
  std::map<std::uint64_t, std::uint64_t> free_;  // place -> size, no two adjacent
  std::map<std::uint64_t, std::uint64_t> used_;
  int spin_budget_ = 200;
  std::function<void()> meanwhile_;
};

}  // namespace railwright::worker
