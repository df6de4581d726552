#include "worker/shm/meeting.hpp"

#include <cassert>
#include <cstring>

namespace railwright::worker {

// One member's share. Only its owner writes here.
struct Meeting::Stand {
  Line arrivals[2], end;
  alignas(64) std::byte slots[2][slot_size];
};

WaitResult Meeting::make(SharedNode& node, const Group& group, Transport::Deadline deadline,
                         std::unique_ptr<Meeting>& meeting) {
  const int leader = node.member_of(group.ranks[0]);
  std::uint64_t place = 0;
  WaitResult result = {WaitState::done, -1};
  if (group.index == 0) {
    const auto memory = node.allocate(sizeof(Stand) * group.ranks.size());
    if (memory.empty()) return {WaitState::failed, group.ranks[0]};
    std::memset(memory.data(), 0, memory.size());
    place = *node.place_of(memory);
    for (std::size_t i = 1; i < group.ranks.size() && result.state == WaitState::done; ++i)
      result = node.post_letter(node.member_of(group.ranks[i]), place, deadline);
  } else {
    result = node.take_letter(leader, place, deadline);
  }
  if (result.state == WaitState::done) meeting.reset(new Meeting(node, group, place));
  return result;
}

Meeting::Meeting(SharedNode& node, const Group& group, std::uint64_t place)
    : node_(node), index_(group.index) {
  for (const int rank : group.ranks) members_.push_back(node.member_of(rank));
  memory_ = node.at(members_[0], place);
}

// The memory stays the node's: a peer may still look at it.
Meeting::~Meeting() = default;

Meeting::Stand& Meeting::stand(int index) const { return reinterpret_cast<Stand*>(memory_)[index]; }

std::byte* Meeting::slot(int index, std::size_t size) const {
  Line& line = stand(index).arrivals[number_ % 2];
  if (size <= sizeof line.words - sizeof line.words[0])
    return reinterpret_cast<std::byte*>(line.words + 1);
  return stand(index).slots[number_ % 2];
}

void Meeting::arrive(std::uint64_t place) {
  Line& line = stand(index_).arrivals[number_ % 2];
  line.words[0] = place;
  publish(line, number_);
}

std::uint64_t Meeting::place(int index) const {
  return stand(index).arrivals[number_ % 2].words[0];
}

WaitResult Meeting::wait_for_arrivals(Transport::Deadline deadline) {
  for (int i = 1; i < size(); ++i) {
    const int peer = (index_ + i) % size();
    const WaitResult come =
        node_.wait_for(stand(peer).arrivals[number_ % 2], number_, members_[peer], deadline);
    if (come.state != WaitState::done) return come;
  }
  return {WaitState::done, -1};
}

void Meeting::finish() { publish(stand(index_).end, number_); }

WaitResult Meeting::wait_for_ends(Transport::Deadline deadline) {
  for (int i = 1; i < size(); ++i) {
    const int peer = (index_ + i) % size();
    const WaitResult ended = node_.wait_for(stand(peer).end, number_, members_[peer], deadline);
    if (ended.state != WaitState::done) return ended;
  }
  return {WaitState::done, -1};
}

}  // namespace railwright::worker
