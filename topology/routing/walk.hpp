// One walk for every shape and mode: from position to position, always one step nearer to the
// target, splitting or choosing among the candidates that the space offers.
#pragma once

#include <cstdint>
#include <vector>

#include "topology/routing.hpp"
#include "topology/shapes/layout.hpp"

namespace railwright::topology {

// Positions of a walk: sites of a shape, or vertices of the graph.
class Space {
 public:
  virtual ~Space() = default;
  // Appends the candidates, each once, all one hop nearer to the target.
  virtual void next(int position, std::vector<Hop>& hops) const = 0;
  virtual VertexId vertex_of(int position) const = 0;
  // Number by which d_mod_k picks: candidate key mod candidates.
  virtual std::uint64_t key(int position) const = 0;
};

// The sites of a shape, towards one endpoint: closed form.
class FabricSpace final : public Space {
 public:
  FabricSpace(const Fabric& fabric, const Placement& placement, int target)
      : fabric_(fabric), placement_(placement), target_(target) {}
  void next(int site, std::vector<Hop>& hops) const override {
    std::visit([&](const auto& f) { f.next(site, target_, hops); }, fabric_);
  }
  VertexId vertex_of(int site) const override { return placement_.vertex_of(site); }
  std::uint64_t key(int site) const override {
    return std::visit([&](const auto& f) { return f.key(site, target_); }, fabric_);
  }

 private:
  const Fabric& fabric_;
  const Placement& placement_;
  int target_;
};

// What enters the hash of ecmp_hash.
struct Flow {
  std::uint64_t seed = 0, source = 0, target = 0, number = 0;
};
// What ecmp_hash picks by at a vertex: candidate hash mod candidates.
std::uint64_t hash_of(const Flow& flow, VertexId at);

class Walk {
 public:
  Walk(const Graph& graph, RoutingMode mode, Flow flow) : graph_(graph), mode_(mode), flow_(flow) {}
  const Flow& flow() const { return flow_; }
  // Adds the links between two positions, with shares; a link may appear more than once.
  void go(const Space& space, int from, int to, std::vector<BundleShare>& route);
  void step(VertexId from, VertexId to, double share, std::vector<BundleShare>& parts) const;

 private:
  struct Part {
    int position;
    double share;
  };
  void keep_chosen(const Space& space, int position);
  std::size_t chosen(const Space& space, int position) const;
  void merge(std::vector<Part>& parts) const;

  const Graph& graph_;
  RoutingMode mode_;
  Flow flow_;
  std::vector<Hop> hops_;
};

}  // namespace railwright::topology
