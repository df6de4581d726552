// How long to wait before connecting again.
#pragma once

#include <chrono>
#include <cstdint>

namespace railwright::coordinator::wire {

// After `failures` in a row, at least 1: somewhere in [0, min(2 s, 100 ms * 2^(failures - 1))), as
// `draw`, a number of 64 random bits, says. Ten thousand leaders that lost the same coordinator at
// the same time come back one by one. A lease is asked for often enough not to be lost meanwhile.
std::chrono::milliseconds back_off(int failures, std::uint64_t draw);

}  // namespace railwright::coordinator::wire
