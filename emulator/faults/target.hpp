// What a name in faults.yaml stands for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::emulator {

enum class TargetKind : std::uint8_t { link_class, node, vertex, link };

struct Target {
  TargetKind kind = TargetKind::vertex;
  int index = -1;
};

// Looked up in this order: link class, node, vertex, link "a->b".
std::optional<Target> find_target(std::string_view name, const topology::Cluster& cluster);
// What may have been meant. A large cluster has millions of names: of each block of vertices only
// the one nearest to the wanted numbers is considered.
std::string target_hint(std::string_view name, const topology::Cluster& cluster);

// All links of the class, of the vertices of the node (those inside it too), or of the vertex in
// both directions; the link itself. Ascending.
std::vector<topology::LinkId> links_of(const Target& target, const topology::Cluster& cluster);
// Of a node, or the accelerator itself; none for anything else.
std::vector<topology::AcceleratorId> accelerators_of(const Target& target,
                                                     const topology::Cluster& cluster);

}  // namespace railwright::emulator
