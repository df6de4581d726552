// Topology: what the cluster is made of.
//
// A cluster file (docs/cluster.md) is read into a ClusterSpec, and the makers of the shapes turn
// the spec into a Cluster: one directed graph from accelerator to accelerator, through NVSwitch,
// PCIe, NIC, leaf, spine and fibre. Everything above asks the graph: how fast is this link, which
// links does a transfer load (routing.hpp), what is the bisection. Figures of accelerators and
// links come from the catalogue (data/*.csv), measured efficiencies from the calibration.
//
//   auto cluster = load_cluster("dgx-h100-4.yaml");          // or a name: "dgx-h100"
//   Router router(*cluster);
//   Route route = router.between(AcceleratorId{0}, AcceleratorId{9});
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "topology/calibration.hpp"
#include "topology/graph.hpp"
#include "topology/quantity.hpp"
#include "topology/result.hpp"
#include "topology/spec.hpp"
#include "topology/units.hpp"

namespace railwright::topology {

// Ordinal of an accelerator, 0 .. accelerators-1, node by node in the order of the file.
struct AcceleratorId {
  int index = -1;
  auto operator<=>(const AcceleratorId&) const = default;
};

// A described cluster, immutable once made. `spec` keeps what the file said.
struct Cluster {
  ClusterSpec spec;
  Graph graph;
  std::vector<int> first_accelerator;  // of each node group, plus the total at the end
  std::vector<int> first_vertex;       // vertex of the first accelerator of each node group
  std::vector<int> first_node;         // number of the first node of each group, plus the total

  int accelerators() const { return first_accelerator.back(); }
  int nodes() const { return first_node.back(); }
  int group_of(AcceleratorId a) const;  // index into spec.nodes
  VertexId vertex_of(AcceleratorId a) const;
  int node_of(AcceleratorId a) const;  // 0 .. nodes-1
  AcceleratorId first_of_node(int node) const;
  std::string node_name(int node) const;       // "node3"
  std::string host_of(AcceleratorId a) const;  // "" when the file names no hosts
  const AcceleratorKind& kind_of(AcceleratorId a) const;
  bool operator==(const Cluster&) const = default;
};

// ---- describe

// YAML or JSON text to a spec; all errors of the file at once, each with its place and a hint.
Result<ClusterSpec> parse_cluster(std::string_view text, const std::string& file);
// The same, and what is allowed but looks wrong: a rate that is the sum of both directions, a link
// class that nothing uses.
struct ClusterFile {
  ClusterSpec spec;
  Errors warnings;
};
Result<ClusterFile> parse_cluster_file(std::string_view text, const std::string& file);
Result<ClusterFile> load_cluster_file(const std::string& name_or_path);
// A spec to a graph. Fails on a graph that does not join all accelerators, a torus whose dimensions
// do not multiply to its endpoints, names that are not there.
Result<Cluster> build_cluster(ClusterSpec spec);
// A path to a file, or the name of a ready cluster (`railwright topology list`).
Result<Cluster> load_cluster(const std::string& name_or_path);
// Canonical JSON of a spec: same cluster, same bytes, whatever the file looked like. What
// plan.json's SHA-256 is taken of.
std::string canonical_json(const ClusterSpec& spec);

// ---- catalogue

const std::vector<AcceleratorKind>& accelerator_catalogue();
const std::vector<LinkClass>& link_catalogue();  // name == kind: "nvlink-4", "infiniband-ndr"
struct ReadyFile {
  std::string name, description, text;
};
const std::vector<ReadyFile>& ready_clusters();
// "h100" finds nothing; the hint of an error offers the closest names.
std::vector<std::string> closest_names(std::string_view wanted, std::vector<std::string> names);

// ---- ask

// The smallest capacity, one direction, that separates half of the accelerators from the rest.
// Exact for single shapes; otherwise the best cut that a search finds, which is an upper bound.
struct Bisection {
  Bandwidth bandwidth;
  bool exact = false;
  // "closed form (rail fat-tree)", "spectral", "fiduccia-mattheyses"; beyond a million links
  // "accelerators in order": the first half against the second
  std::string method;
};
Bisection bisection_of(const Cluster& cluster);

struct LinkClassCount {
  std::string name;
  int count = 0;
  Bandwidth bandwidth;
  Seconds latency;
};
struct ClusterSummary {
  int accelerators = 0, nodes = 0, links = 0, switches = 0;
  std::vector<LinkClassCount> link_classes;
  Watts power;   // accelerators at their rated power plus links
  Dollars cost;  // accelerators plus links whose price is known
};
ClusterSummary summarize(const Cluster& cluster);

}  // namespace railwright::topology
