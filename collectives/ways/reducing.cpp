#include <algorithm>
#include <array>
#include <string_view>

#include "collectives/ways/switches.hpp"

namespace railwright::collectives {
namespace {

using topology::Cluster;
using topology::NodeGroup;

// NVLink SHARP came with the third NVSwitch, which speaks nvlink-4 (NVIDIA, "The NVLink-Network
// Switch", Hot Chips 34, 2022); the switch of A100 (nvlink-3) does not add.
constexpr std::array<std::string_view, 2> reducing_kinds = {"nvlink-4", "nvlink-5"};

// "node3/switch" of the group called "node".
bool belongs_to(std::string_view name, const NodeGroup& group) {
  if (!name.starts_with(group.name) || !name.ends_with("/switch")) return false;
  const auto number = name.substr(group.name.size(), name.find('/') - group.name.size());
  return !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
}

// Switches of a network bear its name only where there is more than one.
bool belongs_to(std::string_view name, const topology::NetworkSpec& network, bool alone) {
  return alone || (name.starts_with(network.name) && name.substr(network.name.size())[0] == '/');
}

}  // namespace

bool switches_reduce(const Cluster& cluster, const NodeGroup& group) {
  if (group.scale_up != topology::Shape::switched || !group.scale_up_class) return false;
  const std::string& kind = cluster.spec.link_classes[group.scale_up_class->index].kind;
  return std::ranges::find(reducing_kinds, kind) != reducing_kinds.end();
}

bool reduces(const Cluster& cluster, topology::VertexId vertex) {
  if (cluster.graph.kind_of(vertex) != topology::VertexKind::packet_switch) return false;
  const std::string name = cluster.graph.name_of(vertex);
  for (const NodeGroup& group : cluster.spec.nodes)
    if (belongs_to(name, group)) return switches_reduce(cluster, group);
  for (const topology::SwitchSpec& one : cluster.spec.switches)
    if (one.name == name) return one.reduces;
  const bool alone = cluster.spec.networks.size() == 1;
  return std::ranges::any_of(cluster.spec.networks, [&](const topology::NetworkSpec& network) {
    return network.reduces && belongs_to(name, network, alone);
  });
}

}  // namespace railwright::collectives
