// What ranks tell each other through shared memory: a cache line with one writer.
#pragma once

#include <atomic>
#include <cstdint>

namespace railwright::worker {

// The words are valid once the number has been seen; the writer leaves them alone until the readers
// of that number have said, on a line of their own, that they are done.
struct alignas(64) Line {
  std::uint64_t number = 0;
  std::uint64_t words[7] = {};
};
static_assert(sizeof(Line) == 64);

inline std::uint64_t seen(Line& line) {
  return std::atomic_ref(line.number).load(std::memory_order_acquire);
}
inline void publish(Line& line, std::uint64_t number) {
  std::atomic_ref(line.number).store(number, std::memory_order_release);
}

}  // namespace railwright::worker
