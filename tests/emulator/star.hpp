// Small graphs for the tests of the network: n accelerators around one switch.
#pragma once

#include "emulator/network.hpp"
#include "topology/calibration.hpp"
#include "topology/graph.hpp"

namespace railwright::emulator {

// Link 2 i leads from accelerator i to the switch; `down(i)` back again.
inline topology::Graph star(int accelerators, Bandwidth capacity) {
  topology::GraphBuilder builder;
  topology::LinkClass link_class;
  link_class.name = "wire";
  link_class.capacity = capacity;
  const topology::ClassId wire = builder.add_class(link_class);
  const auto first = builder.add_block(topology::VertexKind::accelerator, "gpu{}", {accelerators});
  const auto middle = builder.add_block(topology::VertexKind::packet_switch, "switch", {});
  for (int i = 0; i < accelerators; ++i) builder.add_duplex({first.index + i}, middle, wire);
  return std::move(builder).build();
}

inline topology::LinkId up(const topology::Graph& graph, int accelerator) {
  return *graph.link_between({accelerator}, {graph.vertices() - 1});
}
inline topology::LinkId down(const topology::Graph& graph, int accelerator) {
  return *graph.link_between({graph.vertices() - 1}, {accelerator});
}

// A transfer over the switch.
inline Transfer between(const topology::Graph& graph, int source, int target, double bytes) {
  return {{{up(graph, source)}, {down(graph, target)}}, bytes};
}

}  // namespace railwright::emulator
