// Links that wait to be computed, lowest level first: roughly, because that order only saves work.
//
// Levels that share their leading bits (within 0.2 %) share a bucket, last in first out. Which
// buckets are filled is kept in bits, and which words of those bits are not zero in bits again, so
// that push and pop take a handful of steps.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace railwright::emulator {

class StaleQueue {
 public:
  bool empty() const { return summary_ == 0; }

  // Level >= 0; a link is in the queue once at most.
  void push(double level, int link) {
    if (heads_.empty()) heads_.assign(buckets, none);
    if (link >= static_cast<int>(next_.size())) next_.resize(static_cast<std::size_t>(link) + 1);
    const std::size_t bucket = bucket_of(level);
    next_[link] = heads_[bucket];
    heads_[bucket] = link;
    filled_[bucket / 64] |= bit(bucket % 64);
    words_[bucket / 4096] |= bit(bucket / 64 % 64);
    summary_ |= bit(bucket / 4096);
  }

  int pop() {
    const auto top = static_cast<std::size_t>(std::countr_zero(summary_));
    const std::size_t word = 64 * top + static_cast<std::size_t>(std::countr_zero(words_[top]));
    const std::size_t bucket =
        64 * word + static_cast<std::size_t>(std::countr_zero(filled_[word]));
    const int link = heads_[bucket];
    heads_[bucket] = next_[link];
    if (heads_[bucket] == none && (filled_[word] &= ~bit(bucket % 64)) == 0 &&
        (words_[top] &= ~bit(word % 64)) == 0)
      summary_ &= ~bit(top);
    return link;
  }

 private:
  static constexpr std::size_t buckets = std::size_t{1} << 16;
  static constexpr int none = -1;
  // The first 9 bits after the leading one, for levels from 2^-20 up; 2^108 and more are as one.
  static std::size_t bucket_of(double level) {
    constexpr double lowest = 0x1p-20;
    constexpr std::uint64_t first = std::bit_cast<std::uint64_t>(lowest) >> 43;
    if (level <= lowest) return 0;
    const std::uint64_t bucket = (std::bit_cast<std::uint64_t>(level) >> 43) - first;
    return bucket < buckets ? bucket : buckets - 1;
  }
  static std::uint64_t bit(std::size_t place) { return std::uint64_t{1} << place; }

  std::vector<int> heads_, next_;  // of each bucket, after each link
  std::array<std::uint64_t, buckets / 64> filled_{};
  std::array<std::uint64_t, buckets / 4096> words_{};
  std::uint64_t summary_ = 0;
};

}  // namespace railwright::emulator
