// What NCCL would choose, and how long it thinks that takes.
//
// NCCL prices every pair of algorithm and protocol with a latency and a bandwidth and takes the
// cheapest. This is the same model as a pure function of three values: the constants of an NCCL
// version (data/nccl/<version>.json), the graph it finds on a platform (data/nccl/platforms.json)
// and the job. The formulas, with their sources, are in docs/nccl.md.
//
// It is a prediction of NCCL's, not of ours: it knows no faults, no neighbours and no chunks.
//
//   const Platform* platform = platform_of(cluster, members);
//   auto choice = predict(newest_constants(), *platform, {Operation::all_reduce, size, 32, 4});
//   choice->algorithm, choice->protocol, choice->time()
//
// Everything is computed in single precision, microseconds and GB/s, as NCCL does: its log lines
// come out to the last digit and ties fall the same way.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/schedule.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives::nccl {

// In NCCL's order, which is the order of the search: the first of equals wins.
enum class Algorithm : std::uint8_t {
  tree,
  ring,
  collnet_direct,
  collnet_chain,
  nvls,
  nvls_tree,
  pat
};
enum class Protocol : std::uint8_t { ll, ll128, simple };
inline constexpr std::size_t algorithm_count = 7, protocol_count = 3;
std::string to_string(Algorithm algorithm);  // as NCCL_ALGO spells it: "NVLSTree"
std::string to_string(Protocol protocol);    // "LL", "LL128", "Simple"

// An absent value: NCCL does not run this algorithm with this protocol.
using ByProtocol = std::array<std::optional<float>, protocol_count>;
using ByAlgorithm = std::array<ByProtocol, algorithm_count>;
// Of one node, of two, of more.
using ByNodes = std::array<float, 3>;

// GB/s that one generation of GPUs is good for. Without `inf`, per channel unless said otherwise.
struct Generation {
  std::string name;            // "hopper"
  int compute_capability = 0;  // 90; the newest one not above the GPU's is used
  float ll = 0;                // all channels, one node
  ByNodes ring_ll128{}, tree{}, tree_ll128{};
  std::optional<ByNodes> nvls_tree;  // absent: no limit
  float nvls_efficiency = 0;
  bool operator==(const Generation&) const = default;
};

// What the processor of the host limits.
struct Host {
  std::string name;        // "intel", "amd", "other"
  float ll_two_nodes = 0;  // GB/s, all channels
  float ll_more_nodes = 0;
  float network_overhead = 0;  // us to post a send
  bool operator==(const Host&) const = default;
};

enum class LlRule : std::uint8_t { half_up_to_limit, share };
enum class NvlsRule : std::uint8_t { efficiency, five_sixths };

// One version of NCCL.
struct Constants {
  std::string version;  // "2.30": this release and later ones that have no file of their own
  std::string source;
  ByAlgorithm base_latency;                                  // us
  ByAlgorithm nvlink_latency, pci_latency, network_latency;  // us per hop
  std::vector<Generation> generations;                       // ascending capability
  std::vector<Host> hosts;
  std::array<std::vector<float>, protocol_count> correction;  // of 64 B, 128 B, ... messages
  int tree_corrections = 0;            // entries that Tree uses; NVLSTree uses all
  int nvls_tree_corrected_from = 0;    // compute capability on x86 hosts, 0 = never
  float plateau = 1, old_plateau = 1;  // latency factor of a large ring, capability >= 80 and below
  LlRule ll_rule = LlRule::half_up_to_limit;
  NvlsRule nvls_rule = NvlsRule::efficiency;
  // A ring all-reduce over k nodes counts 2 k hops between nodes instead of 2 (k - 1).
  bool counts_closing_hop = false;
  bool operator==(const Constants&) const = default;
};

// Kinds of path in NCCL's order, the nearest first.
enum class Path : std::uint8_t { loc, nvl, nvb, c2c, pix, pxb, p2c, pxn, phb, sys, net };
enum class Pattern : std::uint8_t { ring, balanced_tree, split_tree, tree, nvls, collnet };

// What NCCL's search found, as in NCCL_GRAPH_DUMP_FILE. Bandwidths are per channel.
struct Graph {
  Pattern pattern = Pattern::ring;
  int channels = 0;
  float intra = 0, inter = 0;  // GB/s inside a node, between nodes
  Path intra_path = Path::nvl, inter_path = Path::pix;
  float network_latency = 0;   // us, of the NIC
  bool same_channels = false;  // every channel visits the GPUs in the same order
  bool operator==(const Graph&) const = default;
};

// A machine as NCCL sees it, and which described clusters it is.
struct Platform {
  std::string name, source;
  std::string accelerator;  // of the catalogue
  std::string scale_up;     // kind of the links between the accelerators of a node
  int accelerators_per_node = 0;
  bool several_nodes = false;    // graphs of one node differ from those of more
  int accelerators_per_nic = 0;  // several nodes
  Bandwidth nic;                 // several nodes: line rate, one direction
  int compute_capability = 0;
  std::string host;      // Host::name
  int channels = 0;      // of the communicator, which are more than the search's
  bool collnet = false;  // reductions in the network (SHARP) are set up
  bool nvswitch = true;
  std::optional<Graph> tree, ring, collnet_direct, collnet_chain, nvls;
  bool operator==(const Platform&) const = default;
};

struct Job {
  Operation operation = Operation::all_reduce;
  Bytes size;  // the whole vector, as everywhere here
  int ranks = 2, nodes = 1;
  bool fp8 = false;  // element type
};

// One cell of NCCL's tuning table.
struct Cost {
  float latency = 0;    // us
  float bandwidth = 0;  // GB/s of the whole vector
  bool operator==(const Cost&) const = default;
};

// Before the corrections for size. Absent: disabled, or not an algorithm for this operation.
std::optional<Cost> cost_of(const Constants& constants, const Platform& platform, const Job& job,
                            Algorithm algorithm, Protocol protocol);
// Microseconds, as NCCL_DEBUG_SUBSYS=TUNING prints them.
std::optional<float> predicted_microseconds(const Constants& constants, const Platform& platform,
                                            const Job& job, Algorithm algorithm, Protocol protocol);

struct Choice {
  Algorithm algorithm = Algorithm::tree;
  Protocol protocol = Protocol::ll;
  float microseconds = 0;
  Seconds time() const { return railwright::microseconds(microseconds); }
};
// The least of all. Nothing when NCCL has no model of the operation (all-to-all, send), or does not
// know this generation yet. `ranks` must be equally many on each of `nodes`.
std::optional<Choice> predict(const Constants& constants, const Platform& platform, const Job& job);

// ---- data ---------------------------------------------------------------------------------------
Result<Constants> parse_constants(std::string_view text, const std::string& file);
Result<std::vector<Platform>> parse_platforms(std::string_view text, const std::string& file);
// Compiled in, oldest first.
const std::vector<Constants>& all_constants();
const Constants& newest_constants();
// The newest file that is not newer than "2.22.3"; null when all are, or it is no version.
const Constants* constants_for(std::string_view version);
const std::vector<Platform>& platforms();
const Platform* platform_named(std::string_view name);

struct Placement {
  const Platform* platform = nullptr;
  int nodes = 0;
};
// The platform that these ranks run on: whole nodes, all of one described kind. Nothing when they
// are not, or when no data describe them.
std::optional<Placement> placement_of(const topology::Cluster& cluster,
                                      const std::vector<topology::AcceleratorId>& members);

}  // namespace railwright::collectives::nccl
