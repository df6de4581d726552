// What folding tells things apart by. Private to the emulator.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "topology/mixed.hpp"

namespace railwright::emulator {

using Colour = std::uint64_t;

// Two different elements share a colour with a chance of some 2^-64 per pair.
using topology::mixed;
inline Colour joined(Colour one, Colour other) { return mixed(one ^ mixed(other)); }
// Sums of equal terms in another order differ in the last bits: those are left out.
inline Colour colour_of(double value) { return std::bit_cast<Colour>(value * (1 + 0x1p-50)) >> 12; }

// Numbers colours in the order in which they are asked for.
class ColourNumbers {
 public:
  int number_of(Colour colour);
  int count() const { return count_; }

 private:
  void grow();
  struct Slot {
    Colour colour = 0;
    int number = -1;
  };
  std::vector<Slot> slots_ = std::vector<Slot>(64);
  int count_ = 0;
};

}  // namespace railwright::emulator
