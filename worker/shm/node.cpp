#include "worker/shm/node.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "worker/backoff.hpp"

namespace railwright::worker {
namespace {

constexpr std::uint64_t page = 4096;

// Per peer a line for its letters to the owner and one on which it says which of the owner's
// letters it took.
std::uint64_t control_size(int members) {
  const std::uint64_t size = 2 * sizeof(Line) * static_cast<std::uint64_t>(members);
  return (size + page - 1) / page * page;
}

std::uint64_t rounded(std::size_t size) {
  const std::uint64_t unit = size > page ? page : sizeof(Line);
  return std::max<std::uint64_t>(unit, (size + unit - 1) / unit * unit);
}

std::uint64_t aligned(std::uint64_t place, std::uint64_t size) {
  const std::uint64_t unit = size >= page ? page : sizeof(Line);
  return (place + unit - 1) / unit * unit;
}

}  // namespace

SharedNode::SharedNode(Segments segments) : segments_(std::move(segments)) {
  const std::uint64_t control = control_size(members());
  const std::uint64_t size = segments_.memory[index()].size();
  assert(size > control);
  free_[control] = size - control;
}

Bytes SharedNode::segment_size(int members, Bytes payload) {
  // What groups keep for themselves: some kilobytes for each member of each.
  const std::uint64_t groups = 64 * page * (1 + static_cast<std::uint64_t>(members));
  return {control_size(members) + groups + (payload.count + page - 1) / page * page};
}

int SharedNode::member_of(int rank) const {
  const auto place = std::lower_bound(segments_.ranks.begin(), segments_.ranks.end(), rank);
  if (place == segments_.ranks.end() || *place != rank) return -1;
  return static_cast<int>(place - segments_.ranks.begin());
}

std::span<std::byte> SharedNode::allocate(std::size_t size) {
  const std::uint64_t needed = rounded(size);
  for (auto entry = free_.begin(); entry != free_.end(); ++entry) {
    const std::uint64_t place = entry->first, end = place + entry->second;
    const std::uint64_t start = aligned(place, needed);
    if (start + needed > end) continue;
    free_.erase(entry);
    if (start > place) free_[place] = start - place;
    if (start + needed < end) free_[start + needed] = end - start - needed;
    used_[start] = needed;
    return {at(index(), start), size};
  }
  return {};
}

void SharedNode::release(std::span<std::byte> bytes) {
  const auto place = place_of(bytes);
  assert(place && used_.contains(*place));
  std::uint64_t start = *place, end = start + used_.extract(*place).mapped();
  const auto after = free_.find(end);
  if (after != free_.end()) {
    end += after->second;
    free_.erase(after);
  }
  const auto next = free_.lower_bound(start);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == start) {
      start = before->first;
      free_.erase(before);
    }
  }
  free_[start] = end - start;
}

std::optional<std::uint64_t> SharedNode::place_of(std::span<const std::byte> bytes) const {
  const std::span<std::byte> own = segments_.memory[index()];
  const std::less_equal<const std::byte*> not_after;
  const bool inside = not_after(own.data(), bytes.data()) &&
                      not_after(bytes.data() + bytes.size(), own.data() + own.size());
  if (!inside) return std::nullopt;
  return static_cast<std::uint64_t>(bytes.data() - own.data());
}

Line& SharedNode::letter_line(int owner, int from) const {
  return reinterpret_cast<Line*>(at(owner, 0))[2 * from];
}

Line& SharedNode::taken_line(int owner, int by) const {
  return reinterpret_cast<Line*>(at(owner, 0))[2 * by + 1];
}

WaitResult SharedNode::post_letter(int member, std::uint64_t letter, Transport::Deadline deadline) {
  Line& line = letter_line(member, index());
  const std::uint64_t last = seen(line);
  const WaitResult taken = wait_for(taken_line(index(), member), last, member, deadline);
  if (taken.state != WaitState::done) return taken;
  line.words[0] = letter;
  publish(line, last + 1);
  return taken;
}

WaitResult SharedNode::take_letter(int member, std::uint64_t& letter,
                                   Transport::Deadline deadline) {
  Line& taken = taken_line(member, index());
  const std::uint64_t next = seen(taken) + 1;
  const WaitResult come = wait_for(letter_line(index(), member), next, member, deadline);
  if (come.state != WaitState::done) return come;
  letter = letter_line(index(), member).words[0];
  publish(taken, next);
  return come;
}

WaitResult SharedNode::wait_for(Line& line, std::uint64_t number, int member,
                                Transport::Deadline deadline) {
  if (seen(line) >= number) return {WaitState::done, -1};
  Backoff backoff(spin_budget_);
  while (seen(line) < number) {
    if (!backoff.pause()) continue;
    if (meanwhile_) meanwhile_();
    if (Transport::Deadline::clock::now() >= deadline) return {WaitState::timeout, rank_of(member)};
  }
  return {WaitState::done, -1};
}

void SharedNode::set_patience(int spin_budget, std::function<void()> meanwhile) {
  spin_budget_ = spin_budget;
  meanwhile_ = std::move(meanwhile);
}

}  // namespace railwright::worker
