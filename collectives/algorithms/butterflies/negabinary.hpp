// Distances of Swing and Bine: values of negabinary numbers, sums of powers of -2.
//
// Level l of a line of 2^k places pairs an even place x with x + r(l), an odd one with x - r(l),
// where r(l) = 1 - 2 + 4 - .. (-2)^l = (1 - (-2)^(l+1)) / 3, that is 1, -1, 3, -5, 11 ..: every
// pair is an even and an odd place, and over all levels each place has been everybody's neighbour
// of neighbours. (De Sensi, Bonato, Saam, Hoefler: Swing, NSDI 2024; De Sensi et al.: Bine trees,
// SC 2025.)
#pragma once

#include <cstdint>

#include "collectives/maker.hpp"

namespace railwright::collectives::negabinary {

inline constexpr std::uint32_t odd_digits = 0xaaaaaaaau, even_digits = 0x55555555u;

// r(level)
inline int reach(int level) {
  const auto digits = static_cast<int>((std::uint64_t{2} << level) - 1);
  const int up = digits & static_cast<int>(even_digits);
  return up - static_cast<int>(static_cast<std::uint32_t>(digits) & odd_digits);
}

inline int partner(int place, int level, int extent) {
  return modulo(place % 2 == 0 ? place + reach(level) : place - reach(level), extent);
}

// Digits of a value, lowest first: adding the weights of the odd digits turns subtraction of a
// power into its bit.
inline std::uint32_t digits_of(int value) {
  return (static_cast<std::uint32_t>(value) + odd_digits) ^ odd_digits;
}

// Bit l: whether the way from place 0 to `place` that goes up the levels crosses level l. Two steps
// up to levels a < b lead to r(a) - r(b), the digits a+1 .. b: a digit says how many levels below
// it were crossed, odd or even, so neighbouring digits differ where a level is crossed.
inline std::uint32_t crossed_levels(int place, int bits) {
  const bool odd = place % 2 != 0;
  const std::uint32_t mask = (std::uint32_t{1} << bits) - 1;
  const std::uint32_t digits = digits_of(odd ? reach(bits - 1) - place : -place) & mask;
  return digits ^ (digits >> 1) ^ (odd ? (mask + 1) >> 1 : 0);
}

}  // namespace railwright::collectives::negabinary
