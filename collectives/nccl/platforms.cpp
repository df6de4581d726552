#include <algorithm>
#include <cassert>
#include <utility>

#include "collectives/nccl.hpp"
#include "collectives/nccl/embedded.hpp"
#include "topology/document.hpp"

namespace railwright::collectives::nccl {
namespace {

using topology::Cursor;
using topology::Document;
using topology::Fields;

constexpr double fastest = 1e5;  // GB/s per channel
constexpr std::pair<std::string_view, Path> paths[] = {
    {"LOC", Path::loc}, {"NVL", Path::nvl}, {"NVB", Path::nvb}, {"C2C", Path::c2c},
    {"PIX", Path::pix}, {"PXB", Path::pxb}, {"P2C", Path::p2c}, {"PXN", Path::pxn},
    {"PHB", Path::phb}, {"SYS", Path::sys}, {"NET", Path::net}};
constexpr std::pair<std::string_view, Pattern> patterns[] = {
    {"ring", Pattern::ring}, {"balanced_tree", Pattern::balanced_tree},
    {"tree", Pattern::tree}, {"split_tree", Pattern::split_tree},
    {"nvls", Pattern::nvls}, {"collnet", Pattern::collnet}};
constexpr std::pair<std::string_view, bool> node_words[] = {{"one", false}, {"several", true}};

std::optional<Graph> read_graph(const Cursor& cursor) {
  if (!cursor.present()) return {};
  Fields fields = cursor.fields();
  Graph graph;
  graph.pattern = fields.require("pattern").choice<Pattern>(patterns, Pattern::ring);
  graph.channels = static_cast<int>(fields.require("channels").integer(1, 64, 1));
  graph.intra = static_cast<float>(fields.require("intra").number(0.01, fastest, 1));
  graph.inter = static_cast<float>(fields.require("inter").number(0.01, fastest, 1));
  graph.intra_path = fields.require("intra_path").choice<Path>(paths, Path::nvl);
  graph.inter_path = fields.require("inter_path").choice<Path>(paths, Path::pix);
  graph.network_latency = static_cast<float>(fields.find("network_latency_us").number(0, fastest));
  graph.same_channels = fields.require("same_channels").boolean();
  fields.finish();
  return graph;
}

// What a described cluster must be.
void read_hardware(Fields& fields, Platform& platform) {
  platform.accelerator = fields.require("accelerator").text();
  platform.scale_up = fields.require("scale_up").text();
  platform.accelerators_per_node =
      static_cast<int>(fields.require("accelerators_per_node").integer(1, 100'000, 1));
  platform.several_nodes = fields.require("nodes").choice<bool>(node_words, false);
  if (!platform.several_nodes) return;
  platform.accelerators_per_nic =
      static_cast<int>(fields.require("accelerators_per_nic").integer(1, 1000, 1));
  platform.nic = fields.require("nic").bandwidth();
}

Platform read_platform(const Cursor& cursor) {
  Fields fields = cursor.fields();
  Platform platform;
  platform.name = fields.require("name").text();
  platform.source = fields.require("source").text();
  read_hardware(fields, platform);
  platform.compute_capability =
      static_cast<int>(fields.require("compute_capability").integer(10, 999));
  platform.host = fields.require("host").text();
  platform.channels = static_cast<int>(fields.require("channels").integer(1, 64, 1));
  platform.collnet = fields.find("collnet").boolean(false);
  platform.nvswitch = fields.find("nvswitch").boolean(true);
  platform.tree = read_graph(fields.find("tree"));
  platform.ring = read_graph(fields.require("ring"));
  platform.collnet_direct = read_graph(fields.find("collnet_direct"));
  platform.collnet_chain = read_graph(fields.find("collnet_chain"));
  platform.nvls = read_graph(fields.find("nvls"));
  fields.finish();
  return platform;
}

bool joins(const topology::NetworkSpec& network, const std::string& group) {
  return network.groups.empty() ||
         std::find(network.groups.begin(), network.groups.end(), group) != network.groups.end();
}

// Line rate of a NIC of the group, when it hangs on exactly one network.
std::optional<Bandwidth> nic_rate(const topology::ClusterSpec& spec,
                                  const topology::NodeGroup& group) {
  std::optional<Bandwidth> rate;
  for (const topology::NetworkSpec& network : spec.networks) {
    if (!joins(network, group.name)) continue;
    if (rate) return {};
    rate = spec.link_classes[network.edge_class.index].capacity;
  }
  return rate;
}

bool is_inside(const Platform& platform, const topology::ClusterSpec& spec,
               const topology::NodeGroup& group) {
  return group.scale_up == topology::Shape::switched && group.scale_up_class &&
         spec.link_classes[group.scale_up_class->index].kind == platform.scale_up &&
         spec.accelerator_kinds[group.accelerator_kind].name == platform.accelerator &&
         group.accelerators == platform.accelerators_per_node;
}

bool is_platform(const Platform& platform, const topology::ClusterSpec& spec,
                 const topology::NodeGroup& group, int nodes) {
  if (platform.several_nodes != (nodes > 1) || !is_inside(platform, spec, group)) return false;
  if (!platform.several_nodes) return true;
  return group.nic && group.nic->accelerators_per_nic == platform.accelerators_per_nic &&
         nic_rate(spec, group) == platform.nic;
}

// The whole nodes that the ranks fill, or 0.
int full_nodes(const topology::Cluster& cluster, std::vector<topology::AcceleratorId> members) {
  std::sort(members.begin(), members.end());
  const int group = cluster.group_of(members.front());
  const auto per_node = static_cast<std::size_t>(cluster.spec.nodes[group].accelerators);
  if (members.size() % per_node != 0) return 0;
  for (std::size_t i = 0; i < members.size(); i += per_node) {
    const auto last = i + per_node - 1;
    const bool whole = cluster.group_of(members[i]) == group &&
                       cluster.node_of(members[i]) == cluster.node_of(members[last]) &&
                       members[last].index - members[i].index == static_cast<int>(per_node) - 1;
    if (!whole) return 0;
  }
  return static_cast<int>(members.size() / per_node);
}

std::vector<Platform> read_all() {
  for (const EmbeddedFile& file : embedded_nccl()) {
    if (!file.name.ends_with("platforms.json")) continue;
    auto read = parse_platforms(file.text, std::string(file.name));
    assert(read && "data/nccl/platforms.json is broken");
    return std::move(*read);
  }
  assert(false && "data/nccl/platforms.json is missing");
  return {};
}

}  // namespace

Result<std::vector<Platform>> parse_platforms(std::string_view text, const std::string& file) {
  Document document = Document::parse(text, file);
  Fields fields = document.root().fields();
  fields.require("schema_version").integer(1, 1);
  std::vector<Platform> platforms;
  for (const Cursor& item : fields.require("platforms").items())
    platforms.push_back(read_platform(item));
  fields.finish();
  return document.result(std::move(platforms));
}

const std::vector<Platform>& platforms() {
  static const std::vector<Platform> all = read_all();
  return all;
}

const Platform* platform_named(std::string_view name) {
  const auto found = std::find_if(platforms().begin(), platforms().end(),
                                  [&](const Platform& platform) { return platform.name == name; });
  return found == platforms().end() ? nullptr : &*found;
}

std::optional<Placement> placement_of(const topology::Cluster& cluster,
                                      const std::vector<topology::AcceleratorId>& members) {
  const int nodes = members.size() < 2 ? 0 : full_nodes(cluster, members);
  if (nodes == 0) return {};
  const topology::NodeGroup& group = cluster.spec.nodes[cluster.group_of(members.front())];
  for (const Platform& platform : platforms())
    if (is_platform(platform, cluster.spec, group, nodes)) return Placement{&platform, nodes};
  return {};
}

}  // namespace railwright::collectives::nccl
