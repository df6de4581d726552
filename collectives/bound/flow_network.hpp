// Maximum flow in whole numbers: Dinic's algorithm with several sources and sinks, on the links of
// a graph. Internal to the bound.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/bound/link_rates.hpp"

namespace railwright::collectives {

// A set of vertices, one flag each.
using VertexSet = std::vector<char>;

enum class Direction : std::uint8_t { forward, reversed };  // reversed: links run the other way

// Keeps its flow between calls, so that a flow to one sink can be moved on to the next.
class FlowNetwork {
 public:
  FlowNetwork(const LinkRates& rates, Direction direction);
  // Capacities in units of `unit` bytes/s.
  FlowNetwork(int vertices, const std::vector<int>& source, const std::vector<int>& target,
              std::vector<Amount> capacity, Amount unit, Direction direction);

  int vertices() const { return static_cast<int>(first_arc_.size()) - 1; }
  // Capacities are counted in units of so many bytes/s.
  Amount unit() const { return unit_; }
  // Of all links, in units.
  Amount total_capacity() const { return total_; }
  // What leaves the set, in units, whatever flows.
  Amount leaving(const VertexSet& inside) const;

  // No flow; all capacities times `factor`.
  void clear(Amount factor);
  // Moves as much of `supply` (one entry per vertex) as can get to a vertex of `sinks`, and leaves
  // there the rest.
  void push(std::vector<Amount>& supply, const VertexSet& sinks);
  // Vertices to which more could flow from `seeds`, and from which more could flow to them.
  VertexSet reached_from(const VertexSet& seeds) const;
  VertexSet reaching(const VertexSet& seeds) const;

 private:
  void index_arcs();
  bool label(const std::vector<Amount>& supply, const VertexSet& sinks);
  void drain(int source, Amount& supply, const VertexSet& sinks);
  int open_arc(int vertex);
  Amount carry(const std::vector<int>& path, Amount most);
  VertexSet closure(const VertexSet& seeds, bool forwards) const;

  // Arc 2l is link l, arc 2l + 1 its way back: what flows over l can be taken back.
  std::vector<int> head_;  // of each arc; the tail of a is the head of a ^ 1
  std::vector<Amount> capacity_, residual_;
  std::vector<int> first_arc_, arcs_;  // arcs that leave a vertex
  std::vector<int> level_, current_, queue_, path_;
  Amount unit_ = 1, total_ = 0;
};

}  // namespace railwright::collectives
