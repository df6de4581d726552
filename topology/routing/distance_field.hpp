// Shortest paths in any graph: hops to one target, by a breadth-first search backwards from it.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "topology/routing/walk.hpp"
#include "topology/shapes/join.hpp"

namespace railwright::topology {

// Hops to `target` from every vertex, -1 where there is no path.
//
// Servers do not forward for others: a path goes from an accelerator up through its own host
// bridge and NIC, through switches, and down. Where that joins nothing, as in a torus written out
// link by link, accelerators forward too: the second field.
struct DistanceField {
  VertexId target;
  bool forwarding = false;  // everything forwards
  std::vector<std::int32_t> hops;
  std::vector<char> near_target;  // reached without a switch: may pass traffic down
};

class DistanceFields {
 public:
  // `dead` says of every link whether it is dead, or is empty. Both must outlive it.
  DistanceFields(const Graph& graph, const std::vector<char>& dead);
  // Valid until the next call. Keeps the fields of the latest targets within 256 MiB.
  const DistanceField& towards(VertexId target, bool forwarding);
  // Whether a shortest path may go on over this link.
  bool leads(const DistanceField& field, LinkId link) const;

 private:
  DistanceField measured(VertexId target, bool forwarding) const;
  bool is_switch(int vertex) const { return kinds_[vertex] >= VertexKind::packet_switch; }
  bool expands(const DistanceField& field, int vertex, int before) const;
  bool is_dead(int link) const { return !dead_.empty() && dead_[link] != 0; }

  const Graph& graph_;
  const std::vector<char>& dead_;
  ReverseLinks reverse_;
  std::vector<VertexKind> kinds_;
  std::list<DistanceField> fields_;  // latest first
};

class FieldSpace final : public Space {
 public:
  FieldSpace(const Graph& graph, const DistanceFields& fields, const DistanceField& field,
             std::uint64_t key)
      : graph_(graph), fields_(fields), field_(field), key_(key) {}
  void next(int vertex, std::vector<Hop>& hops) const override;
  VertexId vertex_of(int vertex) const override { return {vertex}; }
  std::uint64_t key(int) const override { return key_; }

 private:
  const Graph& graph_;
  const DistanceFields& fields_;
  const DistanceField& field_;
  std::uint64_t key_;
};

}  // namespace railwright::topology
