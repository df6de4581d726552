// What happens next, in the order of time; equal times leave in the order in which they came.
//
// A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan: Faster algorithms for the shortest path problem,
// 1990): event time never goes back, so events lie in buckets by the highest bit in which they
// differ from the time that has been reached. An event moves down a few buckets in its life, always
// along an array, and equal times share a bucket, in order.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <utility>
#include <vector>

#include "topology/units.hpp"

namespace railwright::emulator {

template <class Event>
class EventQueue {
 public:
  bool empty() const { return size_ == 0; }
  // Of one that is not empty.
  Instant first() const { return first_bucket() == 0 ? reached_ : least_[first_bucket()]; }

  // Not before the event that was taken last.
  void push(Instant when, const Event& event) {
    assert(when >= reached_);
    ++size_;
    put({when, event});
  }

  Event pop() {
    if (first_bucket() > 0) open(first_bucket());
    --size_;
    const Event event = buckets_[0][next_].event;
    if (++next_ == buckets_[0].size()) empty_bucket(0), next_ = 0;
    return event;
  }

 private:
  struct Entry {
    Instant when;
    Event event;
  };

  int first_bucket() const { return std::countr_zero(filled_); }

  void put(const Entry& entry) {
    const auto difference =
        static_cast<std::uint64_t>(entry.when.picoseconds ^ reached_.picoseconds);
    const auto bucket = static_cast<std::size_t>(std::bit_width(difference));
    const std::uint64_t bit = std::uint64_t{1} << bucket;
    if ((filled_ & bit) == 0 || entry.when < least_[bucket]) least_[bucket] = entry.when;
    filled_ |= bit;
    buckets_[bucket].push_back(entry);
  }

  void empty_bucket(int bucket) {
    buckets_[bucket].clear();
    filled_ &= ~(std::uint64_t{1} << bucket);
  }

  // Time comes to the first event of the bucket: all of it moves down.
  void open(int bucket) {
    reached_ = least_[bucket];
    moving_.swap(buckets_[bucket]);
    empty_bucket(bucket);
    for (const Entry& entry : moving_) put(entry);
    moving_.clear();
  }

  std::array<std::vector<Entry>, 64> buckets_;  // 0: at the time that has been reached
  std::array<Instant, 64> least_{};
  std::vector<Entry> moving_;
  std::uint64_t filled_ = 0;
  std::size_t next_ = 0;  // of bucket 0
  std::size_t size_ = 0;
  Instant reached_{0};
};

}  // namespace railwright::emulator
