// Groups and broken clusters for the laws about bounds.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::emulator {

inline std::vector<topology::AcceleratorId> first_members(int count, int stride = 1) {
  std::vector<topology::AcceleratorId> members;
  for (int i = 0; i < count; ++i) members.push_back({i * stride});
  return members;
}

// One link in `one_in` falls to a fraction of its rate, 1 over one of `divisors`; each direction on
// its own.
inline void degrade(topology::Cluster& cluster, std::mt19937_64& random,
                    const std::vector<int>& divisors, std::uint64_t one_in) {
  topology::Graph& graph = cluster.graph;
  const auto classes = graph.classes.size();
  for (std::size_t c = 0; c < classes; ++c)
    for (const int divisor : divisors) {
      topology::LinkClass slow = graph.classes[c];
      slow.name += "-slow" + std::to_string(divisor);
      slow.capacity.bytes_per_second = std::floor(slow.capacity.bytes_per_second / divisor);
      graph.classes.push_back(slow);
    }
  const std::uint64_t kinds = divisors.size();
  for (auto& link_class : graph.link_class)
    if (random() % one_in == 0)
      link_class = static_cast<std::uint16_t>(classes + kinds * link_class + random() % kinds);
}

}  // namespace railwright::emulator
