// The loop that the vector levels share, over a type of lanes:
//   Lanes::width               elements in one register
//   Lanes::bytes               of one element
//   Lanes::Vector              `width` floats
//   Lanes::load, add, store    widening and narrowing
// In an unnamed namespace: each level keeps its own copy.
#pragma once

#include "worker/kernels/levels.hpp"

namespace railwright::worker {
namespace {

template <class Lanes>
inline __attribute__((always_inline)) void sum_register(const SumCall& call, std::size_t at,
                                                        std::size_t sources, std::size_t targets) {
  typename Lanes::Vector sum = Lanes::load(call.sources[0] + at);
  for (std::size_t s = 1; s < sources; ++s)
    sum = Lanes::add(sum, Lanes::load(call.sources[s] + at));
  for (std::size_t t = 0; t < targets; ++t) Lanes::store(call.targets[t] + at, sum);
}

// Less than a register: through registers' worth of zeros beside the vectors.
template <class Lanes>
inline void sum_rest(const SumCall& call, std::size_t at, std::size_t size) {
  alignas(64) std::byte part[Lanes::width * Lanes::bytes] = {};
  __builtin_memcpy(part, call.sources[0] + at, size);
  typename Lanes::Vector sum = Lanes::load(part);
  for (std::size_t s = 1; s < call.source_count; ++s) {
    __builtin_memcpy(part, call.sources[s] + at, size);
    sum = Lanes::add(sum, Lanes::load(part));
  }
  Lanes::store(part, sum);
  for (std::size_t t = 0; t < call.target_count; ++t)
    __builtin_memcpy(call.targets[t] + at, part, size);
}

// What is read now and written next comes for writing at once: a line that a peer has changed would
// else travel twice.
template <class Lanes>
inline __attribute__((always_inline)) void prefetch(const SumCall& call, std::size_t at,
                                                    std::size_t targets) {
  constexpr std::size_t ahead = 1024;
  for (std::size_t t = 0; t < targets; ++t) __builtin_prefetch(call.targets[t] + at + ahead, 1);
}

// `sources` and `targets` are constants in the usual cases, so that those loops unroll.
template <class Lanes>
inline __attribute__((always_inline)) void sum_lanes(const SumCall& call, std::size_t sources,
                                                     std::size_t targets) {
  constexpr std::size_t step = Lanes::width * Lanes::bytes;
  const std::size_t size = call.elements * Lanes::bytes;
  std::size_t at = 0;
  for (; at + 2 * step <= size; at += 2 * step) {
    prefetch<Lanes>(call, at, targets);
    if (2 * step > 64) prefetch<Lanes>(call, at + 64, targets);
    sum_register<Lanes>(call, at, sources, targets);
    sum_register<Lanes>(call, at + step, sources, targets);
  }
  for (; at + step <= size; at += step) sum_register<Lanes>(call, at, sources, targets);
  if (at < size) sum_rest<Lanes>(call, at, size - at);
}

template <class Lanes>
void sum_all(const SumCall& call) {
  if (call.source_count == 2 && call.target_count == 2) return sum_lanes<Lanes>(call, 2, 2);
  if (call.source_count == 2 && call.target_count == 1) return sum_lanes<Lanes>(call, 2, 1);
  sum_lanes<Lanes>(call, call.source_count, call.target_count);
}

}  // namespace
}  // namespace railwright::worker
