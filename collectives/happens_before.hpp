// Which sends are surely over when another one starts: the order that the rule of schedule.hpp
// imposes, and no more. Internal to the proof.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace railwright::collectives {

// A set of small numbers.
class Set {
 public:
  explicit Set(std::size_t capacity = 0) : words_((capacity + 63) / 64) {}
  void insert(std::size_t i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  bool contains(std::size_t i) const { return (words_[i / 64] >> (i % 64)) & 1; }
  void unite(const Set& other) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  bool meets(const Set& other) const {
    for (std::size_t i = 0; i < words_.size(); ++i)
      if (words_[i] & other.words_[i]) return true;
    return false;
  }
  bool empty() const {
    return std::ranges::all_of(words_, [](std::uint64_t word) { return word == 0; });
  }
  bool operator==(const Set&) const = default;

 private:
  std::vector<std::uint64_t> words_;
};

// For each send, which others are complete at their targets when it starts.
// Sends are added in order of phase and step, so everything before `earlier` is known already.
class Order {
 public:
  explicit Order(std::size_t sends) : complete_(sends, Set(sends)) {}

  void after_completion_of(std::size_t earlier, std::size_t later) {
    if (complete_[later].contains(earlier)) return;
    complete_[later].unite(complete_[earlier]);
    complete_[later].insert(earlier);
  }
  // What was complete when `earlier` started is complete when it has left.
  void after_departure_of(std::size_t earlier, std::size_t later) {
    complete_[later].unite(complete_[earlier]);
  }
  bool is_complete(std::size_t send, std::size_t when_starts) const {
    return complete_[when_starts].contains(send);
  }

 private:
  std::vector<Set> complete_;
};

}  // namespace railwright::collectives
