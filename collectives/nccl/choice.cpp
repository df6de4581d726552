#include <algorithm>
#include <bit>
#include <cassert>

#include "collectives/nccl/cell.hpp"

namespace railwright::collectives::nccl {
namespace {

constexpr std::array<const char*, algorithm_count> algorithm_names = {
    "Tree", "Ring", "CollnetDirect", "CollnetChain", "NVLS", "NVLSTree", "PAT"};
constexpr std::array<const char*, protocol_count> protocol_names = {"LL", "LL128", "Simple"};

// NCCL's fixed figures, src/enqueue.cc and src/graph/tuning.cc.
constexpr std::uint64_t smallest_corrected = 64;  // bytes
constexpr std::uint64_t plateau_bytes = 64;       // per channel and rank
constexpr int most_fp8_ring_ranks = 8;            // each hop rounds
constexpr float fp8_ring_penalty = 1024;
constexpr int first_ampere = 80, first_ll128 = 70, first_pat = 60;
constexpr int most_nvls_part_ranks = 32, most_collnet_direct_ranks = 8;

const Generation* generation_of(const Constants& constants, int capability) {
  const Generation* found = nullptr;
  for (const Generation& generation : constants.generations)
    if (generation.compute_capability <= capability) found = &generation;
  // A major version that is newer than all known ones has limits of its own.
  const bool known = found && found->compute_capability / 10 >= capability / 10;
  return known ? found : nullptr;
}

const Host* host_named(const Constants& constants, const std::string& name) {
  const auto found = std::find_if(constants.hosts.begin(), constants.hosts.end(),
                                  [&](const Host& host) { return host.name == name; });
  return found == constants.hosts.end() ? nullptr : &*found;
}

const std::optional<Graph>& graph_of(const Platform& platform, Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::tree:
    case Algorithm::pat:
      return platform.tree;
    case Algorithm::ring:
      return platform.ring;
    case Algorithm::collnet_direct:
      return platform.collnet_direct;
    case Algorithm::collnet_chain:
      return platform.collnet_chain;
    case Algorithm::nvls:
    case Algorithm::nvls_tree:
      return platform.nvls;
  }
  return platform.ring;
}

bool serves(Algorithm algorithm, Operation operation) {
  switch (operation) {
    case Operation::all_reduce:
      return algorithm != Algorithm::pat;
    case Operation::broadcast:
      return algorithm == Algorithm::ring;
    case Operation::all_gather:
    case Operation::reduce_scatter:
      return algorithm == Algorithm::ring || algorithm == Algorithm::nvls ||
             algorithm == Algorithm::collnet_direct || algorithm == Algorithm::pat;
    default:
      return false;
  }
}

bool algorithm_enabled(const Platform& platform, const Job& job, Algorithm algorithm) {
  const int per_node = job.ranks / job.nodes;
  const bool parts = job.operation != Operation::all_reduce;
  switch (algorithm) {
    case Algorithm::tree:
    case Algorithm::ring:
      return true;
    case Algorithm::collnet_direct:
      return platform.collnet && platform.nvswitch && per_node <= most_collnet_direct_ranks;
    case Algorithm::collnet_chain:
      return platform.collnet;
    case Algorithm::nvls:
      return (job.nodes == 1 || platform.collnet) && !(parts && per_node > most_nvls_part_ranks);
    case Algorithm::nvls_tree:
      return job.nodes > 1;
    case Algorithm::pat:
      return per_node == 1 && platform.compute_capability >= first_pat;
  }
  return false;
}

// LL128 needs stores of 128 bytes that arrive whole.
bool protocol_enabled(const Platform& platform, const Graph& graph, Protocol protocol) {
  if (protocol != Protocol::ll128) return true;
  return platform.compute_capability >= first_ll128 && graph.intra_path <= Path::nvb &&
         graph.inter_path <= Path::pxb;
}

bool exists(const Constants& constants, Algorithm algorithm, Protocol protocol) {
  const auto a = static_cast<std::size_t>(algorithm), p = static_cast<std::size_t>(protocol);
  return constants.base_latency[a][p].has_value();
}

// Trees do not stick to the model at medium sizes.
float correction_of(const Constants& constants, const Platform& platform, const Job& job,
                    Algorithm algorithm, Protocol protocol) {
  if (job.operation != Operation::all_reduce || job.size.count < smallest_corrected) return 1;
  const auto index =
      static_cast<std::size_t>(std::bit_width(job.size.count / smallest_corrected)) - 1;
  const auto& table = constants.correction[static_cast<std::size_t>(protocol)];
  const int from = constants.nvls_tree_corrected_from;
  const bool nvls_tree = algorithm == Algorithm::nvls_tree && from > 0 &&
                         platform.compute_capability >= from && platform.host != "other";
  const bool tree =
      algorithm == Algorithm::tree && index < static_cast<std::size_t>(constants.tree_corrections);
  return (tree || nvls_tree) && index < table.size() ? table[index] : 1;
}

float plateau_of(const Constants& constants, const Platform& platform, const Job& job,
                 Algorithm algorithm, Protocol protocol) {
  const auto rings =
      static_cast<std::uint64_t>(platform.channels) * static_cast<std::uint64_t>(job.ranks);
  const bool large = algorithm == Algorithm::ring && protocol == Protocol::simple &&
                     job.operation == Operation::all_reduce && job.nodes > 1 &&
                     job.size.count / rings >= plateau_bytes;
  if (!large) return 1;
  return platform.compute_capability >= first_ampere ? constants.plateau : constants.old_plateau;
}

}  // namespace

std::string to_string(Algorithm algorithm) {
  return algorithm_names[static_cast<std::size_t>(algorithm)];
}
std::string to_string(Protocol protocol) {
  return protocol_names[static_cast<std::size_t>(protocol)];
}

std::optional<Cost> cost_of(const Constants& constants, const Platform& platform, const Job& job,
                            Algorithm algorithm, Protocol protocol) {
  assert(job.ranks >= 2 && job.nodes >= 1 && job.ranks % job.nodes == 0);
  const Generation* generation = generation_of(constants, platform.compute_capability);
  const Host* host = host_named(constants, platform.host);
  const std::optional<Graph>& graph = graph_of(platform, algorithm);
  if (!generation || !host || !graph || !serves(algorithm, job.operation)) return {};
  if (!exists(constants, algorithm, protocol) || !algorithm_enabled(platform, job, algorithm) ||
      !protocol_enabled(platform, *graph, protocol))
    return {};
  const Cell cell{constants, platform, *generation, *host, *graph, job, algorithm, protocol};
  const Cost cost{latency_of(cell), bandwidth_of(cell)};
  return cost.bandwidth > 0 ? std::optional(cost) : std::nullopt;
}

std::optional<float> predicted_microseconds(const Constants& constants, const Platform& platform,
                                            const Job& job, Algorithm algorithm,
                                            Protocol protocol) {
  const auto cost = cost_of(constants, platform, job, algorithm, protocol);
  if (!cost) return {};
  const float bandwidth =
      cost->bandwidth * correction_of(constants, platform, job, algorithm, protocol);
  const float latency = cost->latency * plateau_of(constants, platform, job, algorithm, protocol);
  // A GB/s is a thousand bytes per microsecond.
  const float time = latency + static_cast<float>(job.size.count) / (1000 * bandwidth);
  const bool rounds = job.fp8 && algorithm == Algorithm::ring && job.ranks > most_fp8_ring_ranks;
  return rounds ? time * fp8_ring_penalty : time;
}

std::optional<Choice> predict(const Constants& constants, const Platform& platform,
                              const Job& job) {
  std::optional<Choice> best;
  for (std::size_t a = 0; a < algorithm_count; ++a)
    for (std::size_t p = 0; p < protocol_count; ++p) {
      const auto algorithm = static_cast<Algorithm>(a);
      const auto protocol = static_cast<Protocol>(p);
      const auto time = predicted_microseconds(constants, platform, job, algorithm, protocol);
      if (time && (!best || *time < best->microseconds)) best = Choice{algorithm, protocol, *time};
    }
  return best;
}

}  // namespace railwright::collectives::nccl
