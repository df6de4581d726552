// 16-bit floating point in terms of float: without branches, so that loops over it vectorise.
// Narrowing rounds to nearest, ties to even; NaN stays NaN; subnormals are kept.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/reducer.hpp"

namespace railwright::worker {

constexpr float float_of_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

constexpr std::uint16_t bfloat16_of_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(nan ? quiet : rounded);
}

// Normal halves: shift the exponent into place, then scale by 2^-112 (bias 15 to bias 127).
// Subnormal halves: place the mantissa below an exponent of 2^-1 and subtract 0.5.
constexpr float float_of_half(std::uint16_t bits) {
  const std::uint32_t word = std::uint32_t{bits} << 16;
  const std::uint32_t sign = word & 0x80000000u;
  const std::uint32_t twice = word + word;
  const float normal = std::bit_cast<float>((twice >> 4) + (0xe0u << 23)) * 0x1.0p-112f;
  const float subnormal = std::bit_cast<float>((twice >> 17) | (126u << 23)) - 0.5f;
  const std::uint32_t magnitude = twice < (1u << 27) ? std::bit_cast<std::uint32_t>(subnormal)
                                                     : std::bit_cast<std::uint32_t>(normal);
  return std::bit_cast<float>(sign | magnitude);
}

// Adding a float whose exponent is 13 + 2 above the value's lets the adder do the rounding to 11
// significant bits; the two scalings before it saturate to infinity what is beyond 65504.
constexpr std::uint16_t half_of_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits & 0x80000000u;
  const std::uint32_t twice = bits + bits;
  const float magnitude = std::bit_cast<float>(bits & 0x7fffffffu);
  const float scaled = (magnitude * 0x1.0p+112f) * 0x1.0p-110f;
  const std::uint32_t exponent = twice & 0xff000000u;
  const std::uint32_t bias = exponent < 0x71000000u ? 0x71000000u : exponent;
  const auto rounded =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>((bias >> 1) + 0x07800000u) + scaled);
  const std::uint32_t finite = ((rounded >> 13) & 0x7c00u) + (rounded & 0x0fffu);
  const std::uint32_t result = (sign >> 16) | (twice > 0xff000000u ? 0x7e00u : finite);
  return static_cast<std::uint16_t>(result);
}

// One element of a buffer; `at` points to its first byte.
inline float load(DataType type, const std::byte* at) {
  if (type == DataType::float32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return type == DataType::float16 ? float_of_half(bits) : float_of_bfloat16(bits);
}

inline void store(DataType type, std::byte* at, float value) {
  if (type == DataType::float32) {
    std::memcpy(at, &value, sizeof value);
    return;
  }
  const std::uint16_t bits =
      type == DataType::float16 ? half_of_float(value) : bfloat16_of_float(value);
  std::memcpy(at, &bits, sizeof bits);
}

}  // namespace railwright::worker
