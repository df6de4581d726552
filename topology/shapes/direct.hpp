// Shapes in which endpoints meet on one switch or directly: star, full mesh, and the grids (ring,
// mesh, torus, twisted torus).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "topology/shapes/placement.hpp"
#include "topology/spec.hpp"

namespace railwright::topology {

// One packet switch; site `endpoints`.
struct Star {
  int endpoints = 0;
  ClassId link_class;

  int switches() const { return 1; }
  std::int64_t duplex_links() const { return endpoints; }
  std::vector<SwitchBlock> blocks() const { return {{"switch", {}}}; }
  void add_links(const LinkSink& sink) const;
  void next(int site, int target, std::vector<Hop>& hops) const;
  std::uint64_t key(int, int target) const { return static_cast<std::uint64_t>(target); }
};

struct FullMesh {
  int endpoints = 0;
  ClassId link_class;

  int switches() const { return 0; }
  std::int64_t duplex_links() const { return std::int64_t{endpoints} * (endpoints - 1) / 2; }
  std::vector<SwitchBlock> blocks() const { return {}; }
  void add_links(const LinkSink& sink) const;
  void next(int site, int target, std::vector<Hop>& hops) const;
  std::uint64_t key(int, int target) const { return static_cast<std::uint64_t>(target); }
};

// Endpoint ordinals are row-major: dimension 0 is the slowest. In a closed dimension of size 2 the
// two links between a pair are two lanes of one.
class Grid {
 public:
  // Twists must not chain in a circle: the box of dimensions would not tile the lattice.
  Grid(std::vector<int> dimensions, bool closed, std::vector<Twist> twists, ClassId link_class);
  static bool can_twist(int dimensions, const std::vector<Twist>& twists);

  int endpoints = 0;
  ClassId link_class;

  const std::vector<int>& dimensions() const { return dimensions_; }
  bool closed() const { return closed_; }
  bool twisted() const { return !twists_.empty(); }
  int switches() const { return 0; }
  std::int64_t duplex_links() const;
  std::vector<SwitchBlock> blocks() const { return {}; }
  void add_links(const LinkSink& sink) const;
  void next(int site, int target, std::vector<Hop>& hops) const;
  std::uint64_t key(int, int target) const { return static_cast<std::uint64_t>(target); }
  int distance(int site, int target) const;
  // The neighbour one step up (+1) or down (-1) a dimension; -1 at an open end.
  int neighbour(int site, int dimension, int step) const;

  static constexpr int most_dimensions = 8;

 private:
  using Position = std::array<int, most_dimensions>;
  Position position_of(int site) const;
  int site_of(const Position& position) const;
  void reduce(Position& position) const;
  void measure_distances();

  std::vector<int> dimensions_;
  bool closed_;
  std::vector<Twist> twists_;
  std::vector<int> reduction_order_;       // a dimension comes before those that its closing shifts
  std::vector<std::int32_t> from_origin_;  // twisted only: hops from site 0, by difference
};

}  // namespace railwright::topology
