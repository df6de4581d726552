#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "topology/document.hpp"
#include "topology/files/names.hpp"
#include "topology/files/parts.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {
namespace {

// What an int32 graph holds with room for its links.
constexpr std::int64_t max_accelerators = std::int64_t{1} << 24;
constexpr int max_count = 1 << 22;
constexpr int max_dimension = 1 << 20;

class ClusterReader {
 public:
  explicit ClusterReader(Document& document) : document_(document) {}

  Result<ClusterFile> read() {
    const Cursor root = document_.root();
    if (!root.present()) return tl::unexpected<Errors>(document_.errors());
    Fields fields = root.fields();
    fields.require("schema_version").integer(1, 1, 1);
    check_name(fields.find("name"), spec_.name = fields.require("name").text());
    parts_.read_accelerators(fields.find("accelerators"));
    parts_.read_link_classes(fields.find("link_classes"));
    read_nodes(fields.require("nodes"));
    for (const Cursor& network : fields.find("networks").items()) read_network(network);
    for (const Cursor& item : fields.find("switches").items()) read_switch(item);
    for (const Cursor& link : fields.find("links").items()) read_link(link);
    read_routing(fields.find("routing"));
    fields.finish();
    parts_.finish(spec_);
    Errors warnings = document_.warnings();
    return document_.result(ClusterFile{std::move(spec_), std::move(warnings)});
  }

 private:
  void read_nodes(const Cursor& list) {
    std::int64_t accelerators = 0;
    for (const Cursor& item : list.items()) {
      NodeGroup group = read_group(item);
      accelerators += std::int64_t{group.count} * group.accelerators;
      spec_.nodes.push_back(std::move(group));
    }
    if (list.is_list() && spec_.nodes.empty()) list.error("no nodes", "describe at least one");
    if (accelerators > max_accelerators)
      list.error(fmt::format("{} accelerators are more than {}", accelerators, max_accelerators));
  }

  NodeGroup read_group(const Cursor& cursor) {
    Fields fields = cursor.fields();
    NodeGroup group;
    group.place = cursor.place();
    group.name = read_name(fields.require("name"), "node group");
    if (!group.name.empty() && group.name.back() >= '0' && group.name.back() <= '9')
      fields.find("name").error(
          "ends in a digit",
          fmt::format("node k is called '{}k': write '{}-'", group.name, group.name));
    group.count = static_cast<int>(fields.find("count").integer(1, max_count, 1));
    group.accelerator_kind = parts_.accelerator(fields.require("accelerator"));
    group.accelerators = static_cast<int>(fields.find("accelerators").integer(1, max_count, 1));
    group.hosts = read_hosts(fields.find("host"), group.count);
    read_scale_up(fields.find("scale_up"), group);
    group.nic = read_nic(fields.find("nic"), group.accelerators);
    fields.finish();
    return group;
  }

  // Group, network and switch names are of one space: all become parts of vertex names.
  std::string read_name(const Cursor& cursor, std::string_view what) {
    std::string name = cursor.text();
    check_name(cursor, name);
    if (!name.empty() && !names_.insert(name).second)
      cursor.error(fmt::format("{} '{}' is already there", what, name), "give it another name");
    return name;
  }

  std::vector<std::string> read_hosts(const Cursor& cursor, int count) {
    if (!cursor.present()) return {};
    std::vector<std::string> hosts;
    for (const Cursor& item : cursor.is_list() ? cursor.items() : std::vector{cursor}) {
      Parsed<std::vector<std::string>> some = expand_hosts(item.text());
      if (!some) {
        item.error(some.error().message, some.error().hint);
        return {};
      }
      hosts.insert(hosts.end(), some->begin(), some->end());
    }
    if (hosts.size() != static_cast<std::size_t>(count))
      cursor.error(fmt::format("{} host{} for {} node{}", hosts.size(),
                               hosts.size() == 1 ? "" : "s", count, count == 1 ? "" : "s"),
                   "name as many hosts as `count` says");
    for (const std::string& host : hosts)
      if (!hosts_.insert(host).second) {
        cursor.error(fmt::format("host '{}' is named twice", host), "a host is one node");
        break;
      }
    return hosts;
  }

  void read_scale_up(const Cursor& cursor, NodeGroup& group) {
    if (!cursor.present()) return;
    Fields fields = cursor.fields();
    constexpr Shape unread = Shape::dragonfly;  // which no node has inside
    group.scale_up = fields.require("shape").choice<Shape>(scale_up_shape_names, unread);
    if (group.scale_up == unread) return;  // an unknown shape: its keys mean nothing yet
    if (group.scale_up != Shape::none)
      group.scale_up_class = parts_.link_class(fields.require("link"));
    if (group.scale_up == Shape::mesh || group.scale_up == Shape::torus)
      group.scale_up_dimensions = fields.require("dimensions").integers(1, max_dimension);
    fields.finish();
  }

  std::optional<NicSpec> read_nic(const Cursor& cursor, int accelerators) {
    if (!cursor.present()) return std::nullopt;
    Fields fields = cursor.fields();
    NicSpec nic;
    nic.pcie = parts_.link_class(fields.require("pcie"));
    const Cursor per_nic = fields.find("accelerators_per_nic");
    nic.accelerators_per_nic = static_cast<int>(per_nic.integer(1, max_count, 1));
    if (accelerators % nic.accelerators_per_nic != 0)
      per_nic.error(fmt::format("{} accelerators cannot share NICs by {}", accelerators,
                                nic.accelerators_per_nic),
                    "it must divide `accelerators`");
    fields.finish();
    return nic;
  }

  void read_network(const Cursor& cursor) {
    Fields fields = cursor.fields();
    NetworkSpec network;
    network.place = cursor.place();
    network.name = read_name(fields.require("name"), "name");
    network.shape = fields.require("shape").choice<Shape>(network_shape_names, Shape::none);
    read_joined_groups(fields.find("groups"), network);
    network.reduces = fields.find("reduces").boolean();
    switch (network.shape) {
      case Shape::fat_tree:
      case Shape::rail_fat_tree:
        read_fat_tree(fields, network);
        break;
      case Shape::dragonfly:
        read_dragonfly(fields, network);
        break;
      case Shape::none:
        return;  // an unknown shape: its keys mean nothing yet
      default:
        read_direct(fields, network);
    }
    fields.finish();
    spec_.networks.push_back(std::move(network));
  }

  void read_joined_groups(const Cursor& list, NetworkSpec& network) {
    std::vector<std::string> known;
    for (const NodeGroup& group : spec_.nodes) known.push_back(group.name);
    for (const Cursor& item : list.items()) {
      const std::string name = item.text();
      if (std::find(known.begin(), known.end(), name) == known.end() && !name.empty())
        item.error(fmt::format("no node group '{}'", name), closest_hint(name, known));
      network.groups.push_back(name);
    }
  }

  void read_fat_tree(Fields& fields, NetworkSpec& network) {
    const bool rail = network.shape == Shape::rail_fat_tree;
    network.edge_class = parts_.link_class(fields.require("edge"));
    network.spine_class = class_or(fields.find("spine"), network.edge_class);
    network.tiers = static_cast<int>(fields.find("tiers").integer(2, 3, 2));
    network.nodes_per_leaf = static_cast<int>(
        fields.require(rail ? "nodes_per_leaf" : "nics_per_leaf").integer(1, max_count, 1));
    network.global_class = network.spine_class;
    if (network.tiers == 3) {
      network.global_class = class_or(fields.find("core"), network.spine_class);
      network.leaves_per_pod =
          static_cast<int>(fields.require("leaves_per_pod").integer(1, max_count, 1));
    }
    network.oversubscription = fields.find("oversubscription").number(1, 1024, 1);
  }

  void read_dragonfly(Fields& fields, NetworkSpec& network) {
    network.edge_class = parts_.link_class(fields.require("edge"));
    network.spine_class = class_or(fields.find("local"), network.edge_class);
    network.global_class = class_or(fields.find("global"), network.spine_class);
    const auto count = [&](std::string_view key) {
      return static_cast<int>(fields.require(key).integer(1, max_dimension, 1));
    };
    network.routers_per_group = count("routers_per_group");
    network.endpoints_per_router = count("endpoints_per_router");
    network.global_links_per_router = static_cast<int>(
        fields.require("global_links_per_router").integer(0, max_dimension, 0));  // one group: 0
  }

  // switch, full_mesh, ring, mesh and torus have one kind of link.
  void read_direct(Fields& fields, NetworkSpec& network) {
    network.edge_class = parts_.link_class(fields.require("link"));
    network.spine_class = network.global_class = network.edge_class;
    if (network.shape == Shape::mesh || network.shape == Shape::torus)
      network.dimensions = fields.require("dimensions").integers(1, max_dimension);
    if (network.shape == Shape::torus)
      for (const Cursor& twist : fields.find("twists").items())
        network.twists.push_back(read_twist(twist, network.dimensions));
  }

  Twist read_twist(const Cursor& cursor, const std::vector<int>& dimensions) {
    Fields fields = cursor.fields();
    const auto last = std::max<std::int64_t>(std::ssize(dimensions) - 1, 0);
    Twist twist;
    twist.wrap = static_cast<int>(fields.require("wrap").integer(0, last));
    twist.shifts = static_cast<int>(fields.require("shifts").integer(0, last));
    const auto size = dimensions.empty() ? 1 : dimensions[static_cast<std::size_t>(twist.shifts)];
    twist.by = static_cast<int>(fields.require("by").integer(0, size - 1));
    if (fields.has("shifts") && twist.wrap == twist.shifts)
      cursor.error("a dimension cannot shift itself", "let `wrap` and `shifts` differ");
    fields.finish();
    return twist;
  }

  ClassId class_or(const Cursor& cursor, ClassId fallback) {
    return cursor.present() ? parts_.link_class(cursor) : fallback;
  }

  void read_switch(const Cursor& cursor) {
    Fields fields = cursor.fields();
    SwitchSpec item;
    item.place = cursor.place();
    item.name = read_name(fields.require("name"), "name");
    item.kind =
        fields.find("kind").choice<VertexKind>(switch_kind_names, VertexKind::packet_switch);
    item.reduces = fields.find("reduces").boolean();
    fields.finish();
    spec_.switches.push_back(std::move(item));
  }

  void read_link(const Cursor& cursor) {
    Fields fields = cursor.fields();
    ExplicitLink link;
    link.place = cursor.place();
    link.from = fields.require("from").text();
    link.to = fields.require("to").text();
    link.link_class = parts_.link_class(fields.require("link"));
    link.lanes = static_cast<int>(fields.find("lanes").integer(1, 65535, 1));
    link.duplex = fields.find("duplex").boolean(true);
    if (!link.from.empty() && link.from == link.to)
      cursor.error(fmt::format("'{}' is linked to itself", link.from));
    fields.finish();
    spec_.links.push_back(std::move(link));
  }

  void read_routing(const Cursor& cursor) {
    Fields fields = cursor.fields();
    const Routing standard;
    spec_.routing.mode = fields.find("mode").choice<RoutingMode>(routing_mode_names, standard.mode);
    spec_.routing.cross_rail =
        fields.find("cross_rail").choice<CrossRail>(cross_rail_names, standard.cross_rail);
    spec_.routing.seed = fields.find("seed").whole(UINT64_MAX, standard.seed);
    fields.finish();
  }

  Document& document_;
  ClusterSpec spec_;
  Parts parts_;
  std::set<std::string> names_, hosts_;
};

}  // namespace

Result<ClusterFile> parse_cluster_file(std::string_view text, const std::string& file) {
  Document document = Document::parse(text, file);
  return ClusterReader(document).read();
}

Result<ClusterSpec> parse_cluster(std::string_view text, const std::string& file) {
  return parse_cluster_file(text, file).map([](ClusterFile read) { return std::move(read.spec); });
}

}  // namespace railwright::topology
