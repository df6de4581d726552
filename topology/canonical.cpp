#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "topology/files/names.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {
namespace {

using Json = nlohmann::ordered_json;

// Base units and the shortest digits that read back as the same double.
std::string exact(Bytes size) { return fmt::format("{} B", size.count); }
std::string exact(Bandwidth rate) { return fmt::format("{} B/s", rate.bytes_per_second); }
std::string exact(Seconds time) { return fmt::format("{} s", time.value); }
std::string exact(FlopRate rate) { return fmt::format("{} FLOP/s", rate.per_second); }
std::string exact(Watts power) { return fmt::format("{} W", power.value); }
std::string exact(Dollars price) { return fmt::format("{} USD", price.value); }
std::string exact(JoulesPerBit energy) { return fmt::format("{} J/b", energy.value); }

Json json_of(const LinkClass& link) {
  Json out;
  if (!link.kind.empty()) out["kind"] = link.kind;
  out["medium"] = name_of(medium_names, link.medium);
  out["bandwidth"] = exact(link.capacity);
  out["latency"] = exact(link.latency);
  out["energy"] = exact(link.energy);
  out["idle_power"] = exact(link.idle_power);
  out["cost"] = exact(link.cost);
  out["failures_per_year"] = link.failures_per_year;
  return out;
}

Json json_of(const AcceleratorKind& kind) {
  Json out, peak;
  for (const auto& [precision, rate] : kind.peak)
    peak[std::string(name_of(precision_names, precision))] = exact(rate);
  if (kind.subject() != kind.name) out["calibrated_as"] = kind.subject();
  out["vendor"] = kind.vendor;
  out["peak"] = std::move(peak);
  out["memory"] = exact(kind.memory);
  out["memory_bandwidth"] = exact(kind.memory_bandwidth);
  if (kind.compute_units > 0) out["compute_units"] = kind.compute_units;
  out["power"] = exact(kind.power);
  out["price"] = exact(kind.price);
  out["price_per_hour"] = exact(Dollars{kind.dollars_per_hour});
  out["source"] = kind.source;
  out["status"] = kind.status;
  return out;
}

class CanonicalWriter {
 public:
  explicit CanonicalWriter(const ClusterSpec& spec) : spec_(spec) {}

  Json json() const {
    Json out;
    out["schema_version"] = 1;
    out["name"] = spec_.name;
    for (const AcceleratorKind& kind : spec_.accelerator_kinds)
      out["accelerators"][kind.name] = json_of(kind);
    for (const LinkClass& link : spec_.link_classes) out["link_classes"][link.name] = json_of(link);
    out["nodes"] = Json::array();
    for (const NodeGroup& group : spec_.nodes) out["nodes"].push_back(json_of_group(group));
    for (const NetworkSpec& network : spec_.networks)
      out["networks"].push_back(json_of_network(network));
    for (const SwitchSpec& item : spec_.switches) out["switches"].push_back(json_of_switch(item));
    for (const ExplicitLink& link : spec_.links) out["links"].push_back(json_of_link(link));
    out["routing"]["mode"] = name_of(routing_mode_names, spec_.routing.mode);
    out["routing"]["cross_rail"] = name_of(cross_rail_names, spec_.routing.cross_rail);
    out["routing"]["seed"] = spec_.routing.seed;
    return out;
  }

 private:
  const std::string& class_name(ClassId id) const { return spec_.link_classes[id.index].name; }

  Json json_of_group(const NodeGroup& group) const {
    const auto kind = static_cast<std::size_t>(group.accelerator_kind);
    Json out;
    out["name"] = group.name;
    out["count"] = group.count;
    out["accelerator"] = spec_.accelerator_kinds[kind].name;
    out["accelerators"] = group.accelerators;
    if (!group.hosts.empty()) out["host"] = group.hosts;
    if (group.scale_up != Shape::none) {
      out["scale_up"]["shape"] = name_of(scale_up_shape_names, group.scale_up);
      if (group.scale_up_class) out["scale_up"]["link"] = class_name(*group.scale_up_class);
      if (!group.scale_up_dimensions.empty())
        out["scale_up"]["dimensions"] = group.scale_up_dimensions;
    }
    if (group.nic) {
      out["nic"]["pcie"] = class_name(group.nic->pcie);
      out["nic"]["accelerators_per_nic"] = group.nic->accelerators_per_nic;
    }
    return out;
  }

  Json json_of_switch(const SwitchSpec& item) const {
    Json out{{"name", item.name}, {"kind", name_of(switch_kind_names, item.kind)}};
    if (item.reduces) out["reduces"] = true;
    return out;
  }

  Json json_of_network(const NetworkSpec& network) const {
    Json out;
    out["name"] = network.name;
    out["shape"] = name_of(network_shape_names, network.shape);
    if (!network.groups.empty()) out["groups"] = network.groups;
    if (network.reduces) out["reduces"] = true;
    switch (network.shape) {
      case Shape::fat_tree:
      case Shape::rail_fat_tree:
        add_fat_tree(network, out);
        break;
      case Shape::dragonfly:
        add_dragonfly(network, out);
        break;
      default:
        add_direct(network, out);
    }
    return out;
  }

  void add_fat_tree(const NetworkSpec& network, Json& out) const {
    out["edge"] = class_name(network.edge_class);
    out["spine"] = class_name(network.spine_class);
    out["tiers"] = network.tiers;
    const bool rail = network.shape == Shape::rail_fat_tree;
    out[rail ? "nodes_per_leaf" : "nics_per_leaf"] = network.nodes_per_leaf;
    if (network.tiers == 3) {
      out["core"] = class_name(network.global_class);
      out["leaves_per_pod"] = network.leaves_per_pod;
    }
    out["oversubscription"] = network.oversubscription;
  }

  void add_dragonfly(const NetworkSpec& network, Json& out) const {
    out["edge"] = class_name(network.edge_class);
    out["local"] = class_name(network.spine_class);
    out["global"] = class_name(network.global_class);
    out["routers_per_group"] = network.routers_per_group;
    out["endpoints_per_router"] = network.endpoints_per_router;
    out["global_links_per_router"] = network.global_links_per_router;
  }

  void add_direct(const NetworkSpec& network, Json& out) const {
    out["link"] = class_name(network.edge_class);
    if (!network.dimensions.empty()) out["dimensions"] = network.dimensions;
    for (const Twist& twist : network.twists)
      out["twists"].push_back(
          Json{{"wrap", twist.wrap}, {"shifts", twist.shifts}, {"by", twist.by}});
  }

  Json json_of_link(const ExplicitLink& link) const {
    return Json{{"from", link.from},
                {"to", link.to},
                {"link", class_name(link.link_class)},
                {"lanes", link.lanes},
                {"duplex", link.duplex}};
  }

  const ClusterSpec& spec_;
};

}  // namespace

std::string canonical_json(const ClusterSpec& spec) {
  return CanonicalWriter(spec).json().dump(1) + "\n";
}

}  // namespace railwright::topology
