// What folding tells things apart by. Private to the emulator.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace railwright::emulator {

using Colour = std::uint64_t;

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the finalizer. Two
// different elements share a colour with a chance of some 2^-64 per pair.
inline Colour mixed(Colour value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
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
