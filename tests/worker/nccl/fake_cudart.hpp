// What the doubles of NCCL and cuBLAS need of the double of CUDA's runtime, and what tests see.
#pragma once

#include <atomic>

// A stream of the double: copies are done at once, collectives of the double when all ranks have
// come. Until then an event that was recorded behind them is not ready.
struct FakeStream {
  std::atomic<int> pending = 0;
  std::atomic<long> worked_ns = 0;  // time that kernels have taken without taking it
};

// Copies between host and device since the test has set these to 0.
struct FakeCopies {
  std::atomic<int> to_device = 0, to_host = 0;
};
extern "C" FakeCopies* fake_copies();
