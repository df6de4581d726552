// How long a collective of a real library takes, on hardware that is told in a few words.
//
// NCCL prices an algorithm and a protocol with a latency and a bandwidth. This is the same form
// with what measurements say in place of what NCCL believes: a few constants per link kind,
// network, library and framework (calibration parameters), none of a source or of a size. NCCL's
// own tables of its version (nccl.hpp) stay in it: base latencies, latencies of the network, shares
// of NVLS.
//
//   time = L + W / share + C + fill sqrt(L W)        the least over algorithms and protocols
//
//   L      base + hops inside x hop latency + hops between x (table + network latency)
//   W      bytes over the busiest link at its full rate: vector / rate
//            ring       2 (p-1)/p n, (p-1)/p n or n, over min(inside, node's NICs)
//            tree       2 n over inside x tree efficiency; n, or 2 n on three nodes or more, over
//            NICs NVLS       (p-1)/p n over inside x NVLS efficiency; across nodes as a tree direct
//            2 (p-1)/p n in two steps over a full mesh (RCCL)
//          inside = line rate x wire efficiency, NICs = line rate x network efficiency
//   share  of a line that is data: LL 1/2, LL128 15/16, Simple 1
//   C      own part of the vector, n/p, over memory bandwidth x local copy efficiency; a broadcast
//   has none fill   a pipeline of k pieces costs L k + W / k more than W: about sqrt(L W) at the
//   best k
//
// It is of an idle machine. It knows no faults, no neighbours, no rails that share a switch.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/nccl.hpp"
#include "topology/calibration.hpp"

namespace railwright::collectives::library {

enum class Wiring : std::uint8_t {
  none,       // one accelerator per node
  switched,   // all on one switch
  full_mesh,  // a link between each two
  cube_mesh,  // DGX-1: of six links, rings use one on two ranks, four on up to four, else six
  host,       // PCIe
};

// A machine that people buy: a row of data/servers.csv.
struct Server {
  std::string accelerator;  // of the catalogue, or a variant of one: "h800"
  std::string link;         // kind of the catalogue, subject of calibration
  Wiring wiring = Wiring::switched;
  // One direction. Switched and host: of an accelerator. Meshes: of a pair, of one link.
  Bandwidth rate;
  int rack = 0;      // accelerators of a rack on one switch, over its nodes; 0: a node each
  Bandwidth memory;  // of an accelerator
  int compute_capability = 0;
  Bandwidth nic;  // per accelerator, where a run does not say
  bool operator==(const Server&) const = default;
};
const std::vector<Server>& servers();
// "h100-sxm" is the first whose name has words that begin with "h100" and "sxm". Null: not known.
const Server* server_of(std::string_view accelerator);

struct Run {
  Server server;  // a description may differ from the row of the table
  Operation operation = Operation::all_reduce;
  Bytes size;  // the whole vector, nccl-tests' size column
  int ranks = 2, nodes = 1;
  std::string network = "network:infiniband";  // subjects of calibration
  std::string library = "library:nccl";        // with "@2.21.5" where it is known
  std::string framework;                       // "": the library's own test program
  Bandwidth nic;                               // per accelerator, one direction
  // LL and LL128 need stores that arrive in order; not every network keeps it.
  bool low_latency_protocols = true;
  const nccl::Constants* tables = nullptr;  // of the version; null: the newest
};

enum class Constant : std::uint8_t {
  wire_efficiency,
  network_efficiency,
  network_latency,
  hop_latency,
  hop_latency_simple,
  exchange_latency,
  pipeline_fill,
  tree_efficiency,
  nvls_efficiency,
  nvls_latency,
  local_copy_efficiency,
  call_latency,
};
inline constexpr std::size_t constant_count = 12;
std::string_view parameter_of(Constant constant);  // of a calibration
// Whose it is in this run; "" when the run has no such thing.
std::string subject_of(const Run& run, Constant constant);

using Constants = std::array<double, constant_count>;  // SI units
Constants constants_of(const Run& run, const topology::Calibration& calibration);

enum class Means : std::uint8_t { ring, tree, nvls, direct };
std::string to_string(Means means);
struct Prediction {
  Seconds time;
  Means means = Means::ring;
  nccl::Protocol protocol = nccl::Protocol::simple;
};

// What the slower of links and NICs offers a ring, per accelerator inside a node and per node
// between them: no software in it.
Bandwidth line_rate(const Run& run);

// Empty when the run can be predicted, else why it cannot.
std::string why_not(const Run& run);
Prediction predict(const Run& run, const Constants& constants);

}  // namespace railwright::collectives::library
