// Clusters, models and plans for the tests of plans and steps.
#pragma once

#include <catch2/catch.hpp>

#include "emulator/emulator.hpp"

namespace railwright::emulator {

// The value, or a failed test that prints the errors.
template <class T>
T must(Result<T> result) {
  if (!result) FAIL(to_string(result.error()));
  return std::move(*result);
}

struct Wires {
  Bandwidth inside = gigabytes_per_second(400), outside = gigabytes_per_second(50);
  Seconds latency = microseconds(1);
};

// `nodes` x 4 accelerators of 100 TFLOP/s behind a switch, each with a NIC on its rail.
inline topology::Cluster lab_cluster(int nodes, const Wires& wires = {}) {
  topology::ClusterSpec spec;
  spec.name = "lab";
  const auto wire = [&](const char* name, Bandwidth capacity) {
    topology::LinkClass link;
    link.name = name;
    link.capacity = capacity;
    link.latency = wires.latency;
    return link;
  };
  spec.link_classes = {wire("inside", wires.inside), wire("pcie", wires.outside),
                       wire("rail", wires.outside), wire("spine", wires.outside)};
  topology::AcceleratorKind kind;
  kind.name = "test-chip";
  kind.peak = {{topology::Precision::bf16, teraflops(100)},
               {topology::Precision::fp32, teraflops(50)}};
  kind.memory = gibibytes(80);
  kind.memory_bandwidth = gigabytes_per_second(2000);
  spec.accelerator_kinds = {kind};
  topology::NodeGroup group;
  group.name = "node";
  group.count = nodes;
  group.accelerators = 4;
  group.scale_up = topology::Shape::switched;
  group.scale_up_class = topology::ClassId{0};
  topology::NetworkSpec network;
  network.name = "fabric";
  network.shape = topology::Shape::rail_fat_tree;
  network.edge_class = {2};
  network.spine_class = {3};
  network.global_class = {3};
  network.nodes_per_leaf = nodes;
  if (nodes > 1) {
    group.nic = topology::NicSpec{{1}, 1};
    spec.networks = {network};
  }
  spec.nodes = {group};
  return must(topology::build_cluster(spec));
}

inline workload::Training lab_training(std::int64_t global_batch) {
  workload::Training training;
  workload::Model& model = training.model;
  model.name = "lab-llama";
  model.model_type = "llama";
  model.layers = 8;
  model.hidden = 1024;
  model.heads = 16;
  model.kv_heads = 8;
  model.head_dim = 64;
  model.ffn_hidden = 4096;
  model.vocabulary = 32000;
  model.positions = 4096;
  model.gated_mlp = true;
  training.global_batch = global_batch;
  training.sequence = 2048;
  return training;
}

inline workload::Degrees degrees_of(const char* text) {
  const auto degrees = workload::parse_degrees(text);
  if (!degrees) FAIL(to_string(degrees.error()));
  return *degrees;
}

inline Picoseconds sum_of(const Blame& blame) {
  Picoseconds sum;
  for (const BlameEntry& entry : blame) sum += entry.time;
  return sum;
}

inline Picoseconds time_of(const Blame& blame, const std::string& cause) {
  for (const BlameEntry& entry : blame)
    if (entry.cause == cause) return entry.time;
  return {};
}

}  // namespace railwright::emulator
