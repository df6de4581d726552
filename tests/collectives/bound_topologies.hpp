// Clusters written as graphs: accelerators straight on their switches, without host bridges and
// NICs, which would add cuts of their own.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::collectives::test {

using topology::AcceleratorId;
using topology::Cluster;
using topology::GraphBuilder;
using topology::VertexId;
using topology::VertexKind;

inline topology::ClassId wire(GraphBuilder& builder, double gigabytes) {
  topology::LinkClass link_class;
  link_class.name = "wire" + std::to_string(gigabytes);
  link_class.capacity = gigabytes_per_second(gigabytes);
  return builder.add_class(link_class);
}

inline Cluster cluster_of(GraphBuilder builder, int nodes, int per_node) {
  Cluster cluster;
  cluster.graph = std::move(builder).build();
  topology::NodeGroup group;
  group.name = "node";
  group.count = nodes;
  group.accelerators = per_node;
  cluster.spec.nodes = {group};
  cluster.first_accelerator = {0, nodes * per_node};
  cluster.first_vertex = {0};
  cluster.first_node = {0, nodes};
  return cluster;
}

inline std::vector<AcceleratorId> everybody(const Cluster& cluster) {
  std::vector<AcceleratorId> members;
  for (int a = 0; a < cluster.accelerators(); ++a) members.push_back({a});
  return members;
}

inline VertexId offset(VertexId first, int by) { return {first.index + by}; }

// Boxes of eight on an NVSwitch; accelerator i of each box on network switch i mod `switches`.
inline Cluster boxes_of_eight(int boxes, double inside, double network, int switches) {
  GraphBuilder builder;
  const auto scale_up = wire(builder, inside), nic = wire(builder, network);
  const VertexId gpu = builder.add_block(VertexKind::accelerator, "node{}/gpu{}", {boxes, 8});
  const VertexId crossbar =
      builder.add_block(VertexKind::packet_switch, "node{}/nvswitch", {boxes});
  const VertexId leaf = builder.add_block(VertexKind::packet_switch, "leaf{}", {switches});
  for (int g = 0; g < 8 * boxes; ++g) {
    builder.add_duplex(offset(gpu, g), offset(crossbar, g / 8), scale_up);
    if (boxes > 1) builder.add_duplex(offset(gpu, g), offset(leaf, g % switches), nic);
  }
  return cluster_of(std::move(builder), boxes, 8);
}

// Row-major grid; closed ends make a torus. A closed dimension of 2 has two links.
inline Cluster grid(const std::vector<int>& dimensions, bool closed, double rate) {
  GraphBuilder builder;
  const auto link = wire(builder, rate);
  int count = 1;
  for (const int d : dimensions) count *= d;
  const VertexId first = builder.add_block(VertexKind::accelerator, "node{}/gpu", {count});
  int stride = count;
  for (const int size : dimensions) {
    stride /= size;
    for (int v = 0; v < count; ++v) {
      const int at = v / stride % size;
      if (at + 1 < size) builder.add_duplex(offset(first, v), offset(first, v + stride), link);
      if (at + 1 == size && closed)
        builder.add_duplex(offset(first, v), offset(first, v - at * stride), link);
    }
  }
  return cluster_of(std::move(builder), count, 1);
}

// A grid whose dimensions have rates of their own, in GiB/s; the first dimension is the fastest to
// count. TACOS' tests have such units.
inline Cluster uneven_grid(const std::vector<int>& dimensions, const std::vector<double>& gibibytes,
                           double microseconds, bool closed) {
  GraphBuilder builder;
  int count = 1, stride = 1;
  for (const int d : dimensions) count *= d;
  const VertexId first = builder.add_block(VertexKind::accelerator, "node{}/gpu", {count});
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    topology::LinkClass along;
    along.name = "dimension" + std::to_string(i);
    along.capacity = {gibibytes[i] * static_cast<double>(railwright::gibibytes(1).count)};
    along.latency = railwright::microseconds(microseconds);
    const auto link = builder.add_class(along);
    for (int v = 0; v < count; ++v) {
      const int at = v / stride % dimensions[i];
      if (at + 1 < dimensions[i])
        builder.add_duplex(offset(first, v), offset(first, v + stride), link);
      else if (closed)
        builder.add_duplex(offset(first, v), offset(first, v - at * stride), link);
    }
    stride *= dimensions[i];
  }
  return cluster_of(std::move(builder), count, 1);
}

// Sixteen dies of MI250 per box; between boxes one 16 GB/s link each to a single switch
// (liangyuRain/ForestColl topologies.py).
inline Cluster mi250(int boxes) {
  constexpr int xgmi[][3] = {
      {0, 1, 4},   {0, 4, 2},   {0, 8, 1},   {1, 5, 1},   {1, 9, 1},   {1, 10, 1},  {2, 3, 4},
      {2, 6, 1},   {2, 9, 1},   {2, 10, 1},  {3, 7, 2},   {3, 11, 1},  {4, 5, 4},   {4, 6, 1},
      {5, 6, 1},   {5, 7, 1},   {6, 7, 4},   {8, 9, 4},   {8, 12, 2},  {9, 13, 1},  {10, 11, 4},
      {10, 14, 1}, {11, 15, 2}, {12, 13, 4}, {12, 14, 1}, {13, 14, 1}, {13, 15, 1}, {14, 15, 4}};
  GraphBuilder builder;
  const auto inside = wire(builder, 50), network = wire(builder, 16);
  const VertexId die = builder.add_block(VertexKind::accelerator, "node{}/gpu{}", {boxes, 16});
  const VertexId leaf = builder.add_block(VertexKind::packet_switch, "leaf{}", {1});
  for (int box = 0; box < boxes; ++box) {
    for (const auto& [a, b, count] : xgmi)
      builder.add_duplex(offset(die, 16 * box + a), offset(die, 16 * box + b), inside, count);
    for (int a = 0; a < 16 && boxes > 1; ++a)
      builder.add_duplex(offset(die, 16 * box + a), leaf, network);
  }
  return cluster_of(std::move(builder), boxes, 16);
}

}  // namespace railwright::collectives::test
