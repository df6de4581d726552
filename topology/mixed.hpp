// A hash of whole numbers.
#pragma once

#include <cstdint>

namespace railwright::topology {

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the finalizer: every
// bit of the value reaches every bit of the result.
constexpr std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace railwright::topology
