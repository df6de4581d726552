// Schedules made for one cluster: trees along its links, timed so that no link waits.
//
// Two ways, the faster for the size is kept (docs/collectives.md):
//   matching      chunks are passed on in expanded time, over switches too, on the links that are
//                 free; an all-reduce is two of them, a reduction is one played backwards
//   tree packing  trees that share the links best, pipelined in segments: an all-reduce where they
//                 attain more than a reduce-scatter and an all-gather, a broadcast or reduction
//                 where matching falls short by a tenth
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/schedule.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives {

// What a send does to the links of its way while its latency passes.
enum class Occupancy : std::uint8_t {
  bytes,              // they are busy while bytes leave, s / B: as the emulator has it
  bytes_and_latency,  // they are busy for alpha + s / B: as TACOS has it (arXiv 2304.05301)
};

struct SynthesisTask {
  Operation operation = Operation::all_gather;
  Bytes size;
  std::vector<topology::AcceleratorId> members;
  int root = 0;  // broadcast, reduce
  Occupancy occupancy = Occupancy::bytes;
  int chunks = 0;  // of each rank's part, of the buffer in a broadcast or reduction; 0: chosen
};

struct Synthesis {
  Schedule schedule;
  Seconds time;     // that was planned; the emulator shares links more finely
  int chunks = 0;   // as in the task
  std::string how;  // "matching", "tree packing"
};

// Ranks that a synthesis can handle in some seconds.
inline constexpr int most_synthesized_ranks = 160;

// The same task gives the same schedule. Ways lead through members, switches, NICs and accelerators
// that have links to accelerators only. Refused: all-to-all and send, more ranks than that, no
// bytes, ranks that cannot reach each other.
tl::expected<Synthesis, std::string> synthesize(const SynthesisTask& task,
                                                const topology::Cluster& cluster,
                                                const topology::Calibration& calibration);

}  // namespace railwright::collectives
