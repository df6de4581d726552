#include <algorithm>
#include <bit>

#include "collectives/nccl/cell.hpp"

namespace railwright::collectives::nccl {
namespace {

constexpr int chunk_posts = 3;  // of a Simple step over the network

float entry(const ByAlgorithm& table, Algorithm algorithm, Protocol protocol) {
  const auto& value =
      table[static_cast<std::size_t>(algorithm)][static_cast<std::size_t>(protocol)];
  return value.value_or(0);
}

int floor_log2(int n) { return std::bit_width(static_cast<unsigned>(n)) - 1; }

const ByAlgorithm& hops_inside(const Cell& cell) {
  return cell.graph.intra_path == Path::nvl ? cell.constants.nvlink_latency
                                            : cell.constants.pci_latency;
}

float intra_of(const Cell& cell) { return entry(hops_inside(cell), cell.algorithm, cell.protocol); }

// The NIC's own latency counts twice with Simple, which has to flush.
float inter_of(const Cell& cell) {
  const Algorithm row = cell.per_node() == 1 ? Algorithm::tree : cell.algorithm;
  const float nic = cell.graph.network_latency;
  return entry(cell.constants.network_latency, row, cell.protocol) +
         (cell.protocol == Protocol::simple ? nic + nic : nic);
}

// Every channel starts at another rank unless they are the same, so data pass all ranks.
float ring_broadcast_latency(const Cell& cell) {
  const ByAlgorithm& hops =
      cell.job.nodes == 1 ? hops_inside(cell) : cell.constants.network_latency;
  if (cell.graph.same_channels) return entry(hops, Algorithm::ring, cell.protocol);
  const bool simple = cell.protocol == Protocol::simple;
  const float hop = entry(hops, simple ? Algorithm::tree : Algorithm::ring, cell.protocol);
  return static_cast<float>(cell.job.ranks) * hop;
}

float ring_latency(const Cell& cell) {
  const Job& job = cell.job;
  if (job.operation == Operation::broadcast) return ring_broadcast_latency(cell);
  const bool twice = job.operation == Operation::all_reduce;
  const int closing = twice && cell.constants.counts_closing_hop && job.nodes > 1 ? 2 : 0;
  const int between = (twice ? 2 : 1) * (job.nodes - 1) + closing;
  const int inside = ring_steps(job.operation, job.ranks) - between;
  float intra = intra_of(cell);
  if (job.nodes > 1) {
    const float posts = cell.protocol == Protocol::simple ? chunk_posts : 1;
    intra = std::max(intra, posts * cell.host.network_overhead);
  }
  return static_cast<float>(inside) * intra + static_cast<float>(between) * inter_of(cell);
}

// In and out again: the others of the node, and the network.
float collnet_direct_latency(const Cell& cell) {
  const int others = cell.per_node() - 1;
  return 2 * (static_cast<float>(std::min(1, others)) * intra_of(cell) +
              static_cast<float>(others) * 0.4f) +
         inter_of(cell);
}

float pat_latency(const Cell& cell) {
  return static_cast<float>(floor_log2(cell.job.nodes)) * (inter_of(cell) / 3.5f) +
         2.8f * static_cast<float>(cell.job.ranks);
}

float added_latency(const Cell& cell) {
  const auto others = static_cast<float>(cell.per_node() - 1);
  const auto levels = static_cast<float>(floor_log2(cell.job.nodes));
  switch (cell.algorithm) {
    case Algorithm::tree:
      return 2 * (others * intra_of(cell) + levels * inter_of(cell));
    case Algorithm::ring:
      return ring_latency(cell);
    case Algorithm::collnet_direct:
      return collnet_direct_latency(cell);
    case Algorithm::collnet_chain:
      return 2 * others * intra_of(cell) + inter_of(cell);
    case Algorithm::nvls:
      return intra_of(cell) + (cell.job.nodes > 1 ? inter_of(cell) : 0);
    case Algorithm::nvls_tree:
      return intra_of(cell) + 2 * levels * inter_of(cell);
    case Algorithm::pat:
      return pat_latency(cell);
  }
  return 0;
}

}  // namespace

int ring_steps(Operation operation, int ranks) {
  if (operation == Operation::all_reduce) return 2 * (ranks - 1);
  return operation == Operation::broadcast ? ranks : ranks - 1;
}

float latency_of(const Cell& cell) {
  return entry(cell.constants.base_latency, cell.algorithm, cell.protocol) + added_latency(cell);
}

}  // namespace railwright::collectives::nccl
