// Chunks flooded through a fabric in expanded time: whenever a way between two ranks is free, it
// carries a chunk that the far one lacks. Internal to the synthesis.
//
// What comes of it is a tree per chunk and a time for each edge. Forwarding a random useful chunk
// reaches the rate of the tightest cut in the long run (Massoulie, Twigg, Gkantsidis, Rodriguez:
// Randomized decentralized broadcasting algorithms, INFOCOM 2007); chunks that a group of closely
// joined ranks lacks altogether go first, so that slow links into it carry nothing twice.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/synthesis/fabric.hpp"
#include "topology/units.hpp"

namespace railwright::collectives {

struct MatchingTask {
  std::vector<int> owner;  // rank that has each chunk
  double chunk_bytes = 0;
  double software_latency = 0;    // s, added to every send
  bool latency_occupies = false;  // a link is busy while the latency passes, too
  // Groups of the fabric, by level and first rank, into or out of which nothing may go twice.
  std::vector<std::vector<char>> tight_in, tight_out;
  bool groups_first = true;  // chunks that a whole group lacks go before others
  std::uint64_t seed = 0;
};

// Times in ps. The links of the way are busy from start to left.
struct MatchedSend {
  int source = 0, target = 0, chunk = 0;
  std::int64_t start = 0, left = 0, arrival = 0;
  std::vector<int> way;  // links
};

// Every rank with every chunk; sends by start. Nothing when some rank cannot be reached.
struct Matching {
  std::vector<MatchedSend> sends;
  std::int64_t time = 0;
  std::int64_t looks = 0;  // words of sets of chunks that were compared: what it cost
  bool complete = false;
};
Matching matching_of(const Fabric& fabric, const MatchingTask& task);

}  // namespace railwright::collectives
