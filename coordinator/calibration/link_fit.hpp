// What a sweep over sizes says of its links: one latency, and an efficiency per range of sizes.
//
//   time = steps (hops x link latency + software latency) + W / efficiency(size)
//   steps 2 (p-1) or p-1, W bytes of a ring over the line rate: the ring of the emulator
//
// These are the entries that the emulator reads: software_latency of the library, link_efficiency
// of the link kind that holds the run back, in pieces by size. A library that is faster than a ring
// at line rate (reductions in the switch) reaches efficiency 1 and no more.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "coordinator/validation/measurement.hpp"
#include "topology/calibration.hpp"

namespace railwright::coordinator {

struct LinkSystem {
  std::string link;     // subject of link_efficiency, a kind of the catalogue
  std::string library;  // subject of software_latency
  Bandwidth line;       // what holds the ring back, at its line rate
  Seconds hop;          // latency of the links between two neighbours
};

struct SizeTime {
  Bytes size;
  Seconds time;
};

struct LinkFit {
  std::vector<topology::CalibrationEntry> entries;
  double residual = 0;  // mean |predicted / measured - 1|
  double left_out = 0;  // the same with each size predicted by a fit of the others
  bool faster_than_ring = false;
};

// All of one operation on the same ranks. Needs three sizes.
Result<LinkFit> fit_links(const LinkSystem& system, workload::Operation operation, int ranks,
                          std::span<const SizeTime> sweep, const std::string& source);

}  // namespace railwright::coordinator
