// The cluster as a directed graph in compact index arrays (CSR).
//
// A million accelerators are some three million vertices and ten million links, so a vertex or a
// link is an index and whatever repeats is kept once: names come from the block a vertex belongs to
// ("node{}/gpu{}"), capacity and latency from the class of a link. Links are sorted by source, then
// target; a link's id is its place in that order.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"

namespace railwright::topology {

enum class VertexKind : std::uint8_t {
  accelerator,
  host_bridge,  // PCIe switch or root complex between an accelerator and its NIC
  nic,
  packet_switch,  // NVSwitch, leaf, spine, core
  optical_port,   // a port of an optical circuit switch
};
enum class Medium : std::uint8_t { electrical, optical };

struct VertexId {
  int index = -1;
  auto operator<=>(const VertexId&) const = default;
};
struct LinkId {
  int index = -1;
  auto operator<=>(const LinkId&) const = default;
};
struct ClassId {
  std::uint16_t index = 0;
  auto operator<=>(const ClassId&) const = default;
};

// What all links of a kind share. Capacity is the raw line rate of one direction.
struct LinkClass {
  std::string name;  // unique in the cluster: "nvlink", "rail"; the <class> of blame and metrics
  std::string kind;  // catalogue entry it came from, "" when written out: subject of calibration
  Medium medium = Medium::electrical;
  Bandwidth capacity;
  Seconds latency;
  JoulesPerBit energy;
  Watts idle_power;  // both ends of one direction
  Dollars cost;      // both ends of one direction
  double failures_per_year = 0;
  bool operator==(const LinkClass&) const = default;
};

// Vertices first .. first+count-1, all of one kind. `pattern` holds one "{}" per radix; the offset
// in the block, written in the mixed radix, fills them: pattern "node{}/gpu{}", radix {4, 8}.
struct VertexBlock {
  int first = 0;
  int count = 0;
  VertexKind kind = VertexKind::accelerator;
  std::string pattern;
  std::vector<int> radix;
  bool operator==(const VertexBlock&) const = default;
};

struct Graph {
  std::vector<VertexBlock> blocks;  // ascending `first`, covering all vertices
  std::vector<LinkClass> classes;
  std::vector<int> first_link;            // vertices + 1 entries
  std::vector<int> source, target;        // per link
  std::vector<std::uint16_t> link_class;  // per link
  std::map<int, int> lanes;               // links with more than one lane: capacity x lanes

  int vertices() const { return static_cast<int>(first_link.size()) - 1; }
  int links() const { return static_cast<int>(target.size()); }
  VertexKind kind_of(VertexId v) const;
  std::string name_of(VertexId v) const;
  std::string name_of(LinkId l) const;  // "node0/nic3->leaf3"
  std::optional<VertexId> vertex_named(std::string_view name) const;
  std::optional<LinkId> link_named(std::string_view name) const;
  const LinkClass& class_of(LinkId l) const { return classes[link_class[l.index]]; }
  Bandwidth capacity(LinkId l) const;  // of the class, times lanes
  VertexId source_of(LinkId l) const { return {source[l.index]}; }
  VertexId target_of(LinkId l) const { return {target[l.index]}; }
  // Link ids that leave v, ascending by target.
  auto links_from(VertexId v) const {
    return std::views::iota(first_link[v.index], first_link[v.index + 1]);
  }
  // By binary search; nothing when the two are not neighbours.
  std::optional<LinkId> link_between(VertexId source, VertexId target) const;
  bool operator==(const Graph&) const = default;
};

// Collects vertices and links, then sorts them once: O(vertices + links).
class GraphBuilder {
 public:
  ClassId add_class(LinkClass link_class);
  VertexId add_block(VertexKind kind, std::string pattern, std::vector<int> radix);  // its first
  // A second link between the same two vertices becomes a lane of the first.
  void add_link(VertexId source, VertexId target, ClassId link_class, int lanes = 1);
  void add_duplex(VertexId a, VertexId b, ClassId link_class, int lanes = 1);
  void reserve(std::size_t links);
  Graph build() &&;

 private:
  struct PendingLink {
    int source, target;
    std::uint16_t link_class;
    std::uint16_t lanes;
  };
  void fill_links();
  void sort_links_of(int vertex);
  void merge_lanes();

  Graph graph_;
  int vertices_ = 0;
  std::vector<PendingLink> pending_;
  std::vector<std::uint16_t> lanes_;  // per link; empty: one each
  bool repeats_ = false;              // some link is there twice
};

}  // namespace railwright::topology
