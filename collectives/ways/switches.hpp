// Which switches of a cluster stand for the switches of a schedule. Internal to the ways.
#pragma once

#include <unordered_map>
#include <vector>

#include "collectives/schedule.hpp"
#include "topology/topology.hpp"

namespace railwright::collectives {

// Whether the switch can add what comes in: NVSwitch of the Hopper generation on (nodes whose
// accelerators sit on a switch by nvlink-4 or newer), and switches of which the file says so.
bool reduces(const topology::Cluster& cluster, topology::VertexId vertex);

// The first of these, of a group of nodes.
bool switches_reduce(const topology::Cluster& cluster, const topology::NodeGroup& group);

// Paths between a switch and its ranks, along one tree.
struct SwitchTree {
  topology::VertexId root;
  std::vector<int> ranks;
  std::vector<std::vector<topology::LinkId>> up, down;  // of each of them, rank's end first
};

// What can be reached from a vertex without passing through accelerators, layer by layer.
class Flood {
 public:
  explicit Flood(const topology::Graph& graph);
  void begin(int root);
  // The vertices one link further on, ascending.
  const std::vector<int>& advance();
  bool has_reached(int vertex) const { return from_.contains(vertex); }
  topology::LinkId link_to(int vertex) const { return {from_.at(vertex)}; }

 private:
  const topology::Graph& graph_;
  // Link by which a vertex was reached; the root by -1. Looked up, never walked through: a search
  // sees a few vertices of a million.
  std::unordered_map<int, int> from_;
  std::vector<int> layer_;
};

// Finds trees one after another.
class SwitchSearch {
 public:
  SwitchSearch(const std::vector<topology::AcceleratorId>& members,
               const topology::Cluster& cluster);
  // The tree of the nearest switch that reduces and joins all `ranks`; of several equally near ones
  // number `turn` modulo their count, so that the switches of a schedule spread. Without a root
  // when there is none.
  SwitchTree nearest(const std::vector<int>& ranks, int turn);

 private:
  SwitchTree within(const std::vector<int>& ranks, int turn, int detour);
  SwitchTree tree(int root, int depth, const std::vector<int>& ranks);

  const std::vector<topology::AcceleratorId>& members_;
  const topology::Cluster& cluster_;
  Flood from_rank_, from_switch_;
};

}  // namespace railwright::collectives
