// Who holds which block when blocks go round a ring: shared by the flat and the hierarchical ring.
#pragma once

#include "collectives/maker.hpp"

namespace railwright::collectives {

// Position i passes blocks on to i + direction. In step s of a reduce-scatter it passes the sum
// that it received in step s-1, so that block i is complete at position i after size-1 steps; in an
// all-gather it passes its own block first, then what it received.
inline int block_passed(bool gathering, int position, std::int64_t step, int size, int direction) {
  const std::int64_t back = gathering ? step : step + 1;
  return modulo(position - direction * back, size);
}

inline Action ring_action(bool gathering) { return gathering ? Action::copy : Action::reduce; }

}  // namespace railwright::collectives
