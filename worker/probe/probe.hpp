// `railwright-worker probe`: which pair of ranks is slow?
//
// Pairs are measured in rounds; the pairs of a round have no rank in common and go at once. Latency
// is half of a round trip of nothing; bandwidth is that of a large message each way, the latency
// taken off. Each number is the best of several: noise only ever makes it worse. A pair is suspect
// when it is much slower than pairs like it; a rank or host when all its pairs are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "topology/topology.hpp"
#include "worker/engine.hpp"
#include "worker/throttle.hpp"

namespace railwright::worker {

struct ProbeOptions {
  std::string cluster, write_path, json_path, backend = "p2p", accelerator = "cpu-core";
  Bytes size = mebibytes(1);
  int repetitions = 10;
  bool all_pairs = false;  // else each rank with log2 of them
  double tolerance = 2;    // times slower than usual
  std::vector<Throttle> throttles;
  Seconds timeout = seconds(60);
};

using RankPair = std::pair<int, int>;  // the lower rank first
// Every round pairs each rank at most once. All: every pair once, in ranks - 1 rounds (ranks, when
// odd). Else: ranks that differ in one bit, in ceil(log2 ranks) rounds; all of them hang together.
std::vector<std::vector<RankPair>> rounds_of(int ranks, bool all);

struct PairRecord {
  int a = 0, b = 0;
  bool inside = false;    // one machine
  Seconds latency;        // one way
  Bandwidth there, back;  // a to b, b to a
  std::optional<Seconds> expected_latency;
  std::optional<Bandwidth> expected;  // of the cluster description
  bool operator==(const PairRecord&) const = default;
};

struct Suspect {
  enum class What : std::uint8_t { pair, rank, host };
  What what = What::pair;
  std::vector<int> ranks;  // the two of a pair; those of a host
  std::string measure;     // "bandwidth" or "latency"
  double slower = 1;       // times, than usual
  bool operator==(const Suspect&) const = default;
};
// The worst first. Usual: the median of the pairs of the same expectation, or of the same kind
// (inside a machine, across) where nothing is expected; three of them at least.
std::vector<Suspect> suspects_of(const std::vector<PairRecord>& pairs,
                                 const std::vector<std::string>& hosts, double tolerance);

// A cluster file that describes what was found: machines of `machine_of` alike in size, links
// inside and across with the best latency and bandwidth seen.
std::string cluster_text(const std::vector<PairRecord>& pairs, const std::vector<int>& machine_of,
                         const std::vector<std::string>& hosts, const std::string& accelerator);

// Collective; the table goes to stdout of rank 0. Returns the exit status.
int probe(const World& world, const ProbeOptions& options);

}  // namespace railwright::worker
