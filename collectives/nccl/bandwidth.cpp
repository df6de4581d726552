#include <algorithm>

#include "collectives/nccl/cell.hpp"

namespace railwright::collectives::nccl {
namespace {

constexpr int first_hopper = 90;

// Across nodes the processor of the host limits LL, inside one the GPU does.
float ll_limit(const Cell& cell) {
  if (cell.job.nodes == 1) return cell.generation.ll;
  return cell.job.nodes == 2 ? cell.host.ll_two_nodes : cell.host.ll_more_nodes;
}

float channels(const Cell& cell) { return static_cast<float>(cell.graph.channels); }

bool is_collnet(Algorithm algorithm) {
  return algorithm == Algorithm::collnet_direct || algorithm == Algorithm::collnet_chain;
}

// What the search promised.
float graph_bandwidth(const Cell& cell) {
  const bool intra = cell.job.nodes <= 2 || is_collnet(cell.algorithm);
  return channels(cell) * (intra ? cell.graph.intra : cell.graph.inter);
}

float ring_ll_bandwidth(const Cell& cell, float bus) {
  if (cell.constants.ll_rule == LlRule::half_up_to_limit) return std::min(ll_limit(cell), bus / 2);
  const bool four = cell.job.nodes > 1 || cell.job.operation == Operation::all_reduce;
  return bus / (four ? 4 : 3);
}

float ring_bandwidth(const Cell& cell) {
  const float bus = graph_bandwidth(cell);
  switch (cell.protocol) {
    case Protocol::ll:
      return ring_ll_bandwidth(cell, bus);
    case Protocol::ll128:
      return std::min(0.92f * bus, channels(cell) * cell.generation.ring_ll128[cell.scale()]);
    case Protocol::simple:
      return bus;
  }
  return 0;
}

float tree_bandwidth(const Cell& cell) {
  const float limit = channels(cell) * cell.generation.tree[cell.scale()];
  float bus = std::min(0.92f * graph_bandwidth(cell), limit);
  if (cell.protocol == Protocol::ll) bus = std::min(bus / 3.8f, ll_limit(cell));
  if (cell.protocol == Protocol::ll128) {
    const float share = cell.job.nodes == 1 ? 7.0f / 9.0f : 120.0f / 128.0f;
    bus = std::min(bus * share, channels(cell) * cell.generation.tree_ll128[cell.scale()]);
  }
  return cell.graph.pattern == Pattern::tree ? bus * 0.85f : bus;
}

float collnet_direct_bandwidth(const Cell& cell) {
  const auto per_node = static_cast<float>(cell.per_node());
  if (cell.job.operation != Operation::all_reduce)
    return per_node * std::min(cell.graph.intra, 0.9f * cell.graph.inter);
  const float factor = per_node / channels(cell);
  const float bus = graph_bandwidth(cell) / (factor - (factor - 1) / 2);
  return cell.platform.compute_capability >= first_hopper ? bus * 0.85f : bus;
}

// One channel's worth goes to the reduction, and what remains is as efficient as the GPU.
float nvls_intra(const Cell& cell) {
  const float usable =
      cell.graph.intra * cell.generation.nvls_efficiency * ((channels(cell) - 1) / channels(cell));
  if (cell.job.operation == Operation::all_reduce) return 2 * usable;
  const auto per_node = static_cast<float>(cell.per_node());
  return usable * ((per_node - 1) / per_node);
}

float nvls_bandwidth(const Cell& cell) {
  const bool tree = cell.algorithm == Algorithm::nvls_tree, pair = cell.job.nodes == 2;
  if (cell.constants.nvls_rule == NvlsRule::five_sixths) {
    const float inter = tree && cell.job.nodes > 2 ? cell.graph.inter / 2 : cell.graph.inter;
    const bool can = cell.generation.nvls_efficiency > 0;
    return can ? channels(cell) * std::min(cell.graph.intra, inter) : 0;
  }
  float each = nvls_intra(cell);
  if (cell.job.nodes > 1) each = std::min(each, cell.graph.inter * (tree && pair ? 2 : 1));
  if (tree && cell.generation.nvls_tree)
    each = std::min(each, (*cell.generation.nvls_tree)[cell.scale()]);
  return channels(cell) * each;
}

float bus_bandwidth(const Cell& cell) {
  switch (cell.algorithm) {
    case Algorithm::tree:
      return tree_bandwidth(cell);
    case Algorithm::ring:
      return ring_bandwidth(cell);
    case Algorithm::collnet_direct:
      return collnet_direct_bandwidth(cell);
    case Algorithm::collnet_chain:
      return graph_bandwidth(cell);
    case Algorithm::nvls:
    case Algorithm::nvls_tree:
      return nvls_bandwidth(cell);
    case Algorithm::pat:
      return graph_bandwidth(cell) * 0.75f;
  }
  return 0;
}

// From the bytes on a link to the bytes of the vector.
float vector_share(const Cell& cell) {
  const Job& job = cell.job;
  const bool parts =
      job.operation == Operation::all_gather || job.operation == Operation::reduce_scatter;
  if (parts && cell.algorithm != Algorithm::ring) return 1;
  const bool nvls = cell.algorithm == Algorithm::nvls || cell.algorithm == Algorithm::nvls_tree;
  if (nvls && cell.constants.nvls_rule == NvlsRule::five_sixths) return 5.0f / 6.0f;
  if (nvls || cell.algorithm == Algorithm::ring)
    return static_cast<float>(job.ranks) / static_cast<float>(ring_steps(job.operation, job.ranks));
  return 0.5f;
}

}  // namespace

float bandwidth_of(const Cell& cell) { return bus_bandwidth(cell) * vector_share(cell); }

}  // namespace railwright::collectives::nccl
