#include "emulator/step/folding/colours.hpp"

namespace railwright::emulator {

int ColourNumbers::number_of(Colour colour) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = (colour ^ (colour >> 32)) & mask;
  while (slots_[at].number >= 0 && slots_[at].colour != colour) at = (at + 1) & mask;
  if (slots_[at].number >= 0) return slots_[at].number;
  slots_[at] = {colour, count_++};
  if (4 * static_cast<std::size_t>(count_) > 3 * slots_.size()) grow();
  return count_ - 1;
}

void ColourNumbers::grow() {
  std::vector<Slot> old(2 * slots_.size());
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.number < 0) continue;
    std::size_t at = (slot.colour ^ (slot.colour >> 32)) & mask;
    while (slots_[at].number >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace railwright::emulator
