#include "topology/shapes/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace railwright::topology {

namespace {

class LayoutMaker {
 public:
  explicit LayoutMaker(const ClusterSpec& spec) : spec_(spec) {}

  Result<Layout> make() && {
    check_classes();
    for (const NodeGroup& group : spec_.nodes) add_group(group);
    for (const NetworkSpec& network : spec_.networks) add_network(network);
    for (const SwitchSpec& box : spec_.switches) add_switch(box);
    if (spec_.nodes.empty()) refuse({}, "the cluster has no nodes", "add a node group");
    const std::int64_t links = 2 * (layout_.duplex_links + static_cast<int>(spec_.links.size()));
    if (layout_.vertices >= INT32_MAX || links >= INT32_MAX)
      refuse({}, "the cluster has more than 2^31 vertices or links", "");
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    return std::move(layout_);
  }

 private:
  void refuse(const Place& place, std::string message, std::string hint) {
    errors_.push_back({place, std::move(message), std::move(hint)});
  }

  void check_classes() {
    for (const LinkClass& link : spec_.link_classes) {
      if (!(link.capacity.bytes_per_second > 0))
        refuse({}, fmt::format("link class '{}': capacity must be positive", link.name), "");
      if (!(link.latency.value >= 0))
        refuse({}, fmt::format("link class '{}': negative latency", link.name), "");
    }
    if (spec_.link_classes.size() > 65536) refuse({}, "more than 65536 link classes", "");
  }

  bool known(ClassId link_class) const { return link_class.index < spec_.link_classes.size(); }

  int add_block(VertexKind kind, std::string pattern, std::vector<int> radix) {
    std::int64_t count = 1;
    for (const int digits : radix) count = std::min<std::int64_t>(count * digits, INT32_MAX);
    const int first = static_cast<int>(layout_.vertices);
    layout_.vertices = std::min<std::int64_t>(layout_.vertices + count, INT32_MAX);
    layout_.blocks.push_back(
        {first, static_cast<int>(count), kind, std::move(pattern), std::move(radix)});
    return first;
  }

  bool check_group(const NodeGroup& group) {
    const auto before = errors_.size();
    const auto wrong = [&](bool is, std::string_view what, std::string hint) {
      if (is) refuse(group.place, fmt::format("node group '{}': {}", group.name, what), hint);
    };
    wrong(group.name.empty(), "no name", "node k is called <name>k");
    wrong(group.name.find_first_of("{}>") != std::string::npos, "name with '{', '}' or '>'", "");
    wrong(group.count < 1, "count must be positive", "");
    wrong(group.accelerators < 1, "accelerators must be positive", "");
    wrong(std::int64_t{group.count} * group.accelerators >= INT32_MAX, "too many accelerators", "");
    wrong(group.accelerator_kind < 0 ||
              group.accelerator_kind >= static_cast<int>(spec_.accelerator_kinds.size()),
          "unknown accelerator kind", "");
    wrong(!group.hosts.empty() && static_cast<int>(group.hosts.size()) != group.count,
          fmt::format("{} hosts for {} nodes", group.hosts.size(), group.count), "one per node");
    wrong(group.nic && group.nic->accelerators_per_nic < 1, "accelerators per NIC", "at least 1");
    wrong(group.nic && group.nic->accelerators_per_nic > 0 &&
              group.accelerators % group.nic->accelerators_per_nic != 0,
          "the accelerators do not divide evenly among the NICs", "");
    wrong(group.nic && !known(group.nic->pcie), "unknown PCIe link class", "");
    wrong(group.scale_up_class && !known(*group.scale_up_class), "unknown scale-up class", "");
    return errors_.size() == before;
  }

  void add_group(const NodeGroup& group) {
    GroupLayout made;
    if (check_group(group)) {
      place_group(group, made);
      add_scale_up(group, made);
      accelerators_ += made.nodes * made.accelerators;
      nodes_ += made.nodes;
    }
    layout_.groups.push_back(std::move(made));
  }

  void place_group(const NodeGroup& group, GroupLayout& made) {
    made.nodes = group.count;
    made.accelerators = group.accelerators;
    made.first_accelerator = accelerators_;
    made.first_node = nodes_;
    const auto block = [&](VertexKind kind, std::string_view part, int count) {
      return add_block(kind, group.name + "{}/" + std::string(part), {group.count, count});
    };
    made.first_vertex = block(VertexKind::accelerator, "gpu{}", group.accelerators);
    if (group.scale_up == Shape::switched)
      made.first_switch =
          add_block(VertexKind::packet_switch, group.name + "{}/switch", {group.count});
    if (!group.nic) return;
    made.sharing = group.nic->accelerators_per_nic;
    made.nics = group.accelerators / made.sharing;
    made.first_bridge = block(VertexKind::host_bridge, "pcie{}", made.nics);
    made.first_nic = block(VertexKind::nic, "nic{}", made.nics);
    layout_.duplex_links += std::int64_t{group.count} * (group.accelerators + made.nics);
  }

  void add_scale_up(const NodeGroup& group, GroupLayout& made) {
    if (group.scale_up == Shape::none) return;
    auto fabric = scale_up_fabric(group);
    if (!fabric) return append(fabric.error());
    const auto links = std::visit([](const auto& f) { return f.duplex_links(); }, *fabric);
    layout_.duplex_links += links * group.count;
    made.scale_up.push_back(std::move(*fabric));
  }

  void append(const Errors& more) { errors_.insert(errors_.end(), more.begin(), more.end()); }

  // Numbers the endpoints of the groups that are on the network; returns rails, 0 when it cannot.
  int place_endpoints(const NetworkSpec& network, NetworkLayout& made) {
    int rails = 0;
    bool equal = true;
    made.first_endpoint.assign(spec_.nodes.size(), -1);
    for (std::size_t g = 0; g < spec_.nodes.size(); ++g) {
      const auto& wanted = network.groups;
      if (!wanted.empty() &&
          std::find(wanted.begin(), wanted.end(), spec_.nodes[g].name) == wanted.end())
        continue;
      const GroupLayout& group = layout_.groups[g];
      made.first_endpoint[g] = made.placement.endpoints;
      made.placement.runs.push_back({made.placement.endpoints, group.first_end()});
      made.placement.endpoints += group.nodes * group.ends();
      equal = equal && (rails == 0 || rails == group.ends());
      rails = group.ends();
    }
    if (!equal && network.shape == Shape::rail_fat_tree) {
      refuse(network.place,
             fmt::format("network '{}': its nodes have different numbers of NICs", network.name),
             "rails need the same number in every node; use an ordinary fat_tree or two networks");
      return 0;
    }
    return rails;
  }

  bool check_network(const NetworkSpec& network) {
    const auto before = errors_.size();
    for (const std::string& name : network.groups)
      if (std::none_of(spec_.nodes.begin(), spec_.nodes.end(),
                       [&](const NodeGroup& group) { return group.name == name; }))
        refuse(network.place, fmt::format("network '{}': no node group '{}'", network.name, name),
               "");
    for (const ClassId link : {network.edge_class, network.spine_class, network.global_class})
      if (!known(link))
        refuse(network.place, fmt::format("network '{}': unknown link class", network.name), "");
    return errors_.size() == before;
  }

  void add_network(const NetworkSpec& network) {
    if (!errors_.empty() || !check_network(network)) return;
    NetworkLayout made;
    const int rails = place_endpoints(network, made);
    if (rails == 0 && !errors_.empty()) return;
    auto fabric = network_fabric(network, made.placement.endpoints, rails);
    if (!fabric) return append(fabric.error());
    layout_.duplex_links += std::visit([](const auto& f) { return f.duplex_links(); }, *fabric);
    made.placement.first_switch = static_cast<int>(layout_.vertices);
    const std::string prefix = spec_.networks.size() > 1 ? network.name + "/" : "";
    for (auto& [pattern, radix] : std::visit([](const auto& f) { return f.blocks(); }, *fabric))
      add_block(VertexKind::packet_switch, prefix + pattern, radix);
    made.fabric = std::move(*fabric);
    layout_.networks.push_back(std::move(made));
  }

  void add_switch(const SwitchSpec& box) {
    if (box.name.empty() || box.name.find_first_of("{}>") != std::string::npos)
      refuse(box.place, fmt::format("'{}' cannot be the name of a switch", box.name),
             "use letters, digits, '/' and '-'");
    if (box.kind == VertexKind::accelerator)
      refuse(box.place, fmt::format("'{}' is not a switch", box.name), "use a node group");
    add_block(box.kind, box.name, {});
  }

  const ClusterSpec& spec_;
  Layout layout_;
  Errors errors_;
  int accelerators_ = 0, nodes_ = 0;
};

}  // namespace

Placement GroupLayout::node_placement(int node_in_group) const {
  return {{{0, first_vertex + node_in_group * accelerators}},
          accelerators,
          first_switch + node_in_group};
}

Result<Layout> layout_of(const ClusterSpec& spec) { return LayoutMaker(spec).make(); }

}  // namespace railwright::topology
