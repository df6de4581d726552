#include "coordinator/wire/backoff.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::coordinator::wire {

std::chrono::milliseconds back_off(int failures, std::uint64_t draw) {
  assert(failures >= 1);
  const std::uint64_t most = std::min<std::uint64_t>(2'000, 100ULL << std::min(failures - 1, 10));
  return std::chrono::milliseconds(draw % most);
}

}  // namespace railwright::coordinator::wire
