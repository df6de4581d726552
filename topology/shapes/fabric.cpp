#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "topology/shapes/layout.hpp"

namespace railwright::topology {

namespace {

// Of one pod or group: products of what files say stay inside an int.
constexpr double most_parts = 1 << 28;

std::string joined(const std::vector<int>& dimensions) {
  std::string text;
  for (const int d : dimensions) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return text;
}

// What is wrong with the dimensions of a grid over so many endpoints, or nothing.
std::string complaint(const std::vector<int>& dimensions, int endpoints) {
  if (dimensions.size() > Grid::most_dimensions)
    return fmt::format("{} dimensions are too many; at most {}", dimensions.size(),
                       Grid::most_dimensions);
  std::int64_t product = 1;
  for (const int d : dimensions) {
    if (d < 1) return fmt::format("dimension {} is not positive", d);
    product = std::min<std::int64_t>(product * d, INT32_MAX);
  }
  if (product != endpoints)
    return fmt::format("dimensions {} multiply to {}, but there are {} endpoints",
                       joined(dimensions), product, endpoints);
  return {};
}

std::string complaint(const std::vector<Twist>& twists, int dimensions) {
  for (const Twist& twist : twists) {
    const bool known = twist.wrap >= 0 && twist.wrap < dimensions && twist.shifts >= 0 &&
                       twist.shifts < dimensions;
    if (!known)
      return fmt::format("a twist names dimensions {} and {} of {}", twist.wrap, twist.shifts,
                         dimensions);
    if (twist.wrap == twist.shifts) return "a twist shifts the dimension that it closes";
  }
  return Grid::can_twist(dimensions, twists) ? "" : "twists shift each other in a circle";
}

std::vector<int> ring_dimensions(const std::vector<int>& dimensions, int endpoints) {
  return dimensions.empty() ? std::vector<int>{endpoints} : dimensions;
}

Result<Fabric> grid_fabric(Shape shape, std::vector<int> dimensions, std::vector<Twist> twists,
                           int endpoints, ClassId links, const std::string& name,
                           const Place& place) {
  if (shape == Shape::ring) dimensions = ring_dimensions(dimensions, endpoints);
  if (shape == Shape::ring && dimensions.size() != 1)
    return failure(place, name + ": a ring has one dimension", "use a torus");
  if (auto wrong = complaint(dimensions, endpoints); !wrong.empty())
    return failure(place, name + ": " + wrong, "make the product of the dimensions equal");
  if (!twists.empty() && shape != Shape::torus)
    return failure(place, name + ": only a torus can be twisted", "remove the twists");
  if (auto wrong = complaint(twists, static_cast<int>(dimensions.size())); !wrong.empty())
    return failure(place, name + ": " + wrong);
  return Grid(std::move(dimensions), shape != Shape::mesh, std::move(twists), links);
}

Result<Fabric> clos_fabric(const NetworkSpec& network, int endpoints, int rails) {
  const auto refuse = [&](std::string message, std::string hint) {
    return failure(network.place, fmt::format("network '{}': {}", network.name, message), hint);
  };
  if (network.nodes_per_leaf < 1)
    return refuse("nodes per leaf must be positive", "a DGX SuperPOD has 32");
  if (network.tiers != 2 && network.tiers != 3)
    return refuse(fmt::format("{} tiers", network.tiers), "a fat-tree has 2 or 3");
  if (network.tiers == 3 && network.leaves_per_pod < 1)
    return refuse("three tiers need the leaves of a pod", "set a positive number");
  if (!(network.oversubscription > 0))
    return refuse("oversubscription must be positive", "1 is none");
  const double up = network.nodes_per_leaf / network.oversubscription;
  if (std::abs(up - std::round(up)) > 1e-9 * up || std::round(up) < 1)
    return refuse(fmt::format("{} links down at {}:1 make {} links up", network.nodes_per_leaf,
                              network.oversubscription, up),
                  "choose an oversubscription that divides the links down");
  const double cores_of_a_spine = network.tiers == 3 ? 1.0 * network.leaves_per_pod * rails : 0;
  if (up * (1 + cores_of_a_spine) > most_parts)
    return refuse("a pod with more than 2^28 spines and cores", "make leaves or pods smaller");
  Clos clos;
  clos.endpoints = endpoints;
  clos.rails = rails;
  clos.members_per_unit = network.nodes_per_leaf;
  clos.uplinks = static_cast<int>(std::round(up));
  clos.tiers = network.tiers;
  clos.units_per_pod = network.leaves_per_pod;
  clos.edge = network.edge_class;
  clos.spine = network.spine_class;
  clos.core = network.global_class;
  return clos;
}

Result<Fabric> dragonfly_fabric(const NetworkSpec& network, int endpoints) {
  const auto refuse = [&](std::string message, std::string hint) {
    return failure(network.place, fmt::format("network '{}': {}", network.name, message), hint);
  };
  if (network.routers_per_group < 1 || network.endpoints_per_router < 1 ||
      network.global_links_per_router < 0)
    return refuse("a dragonfly needs routers per group and endpoints per router",
                  "set both to a positive number");
  if (1.0 * network.routers_per_group *
          std::max(network.endpoints_per_router, network.global_links_per_router) >
      most_parts)
    return refuse("a group with more than 2^28 ports", "make the groups smaller");
  Dragonfly fly;
  fly.endpoints = endpoints;
  fly.routers_per_group = network.routers_per_group;
  fly.endpoints_per_router = network.endpoints_per_router;
  fly.globals_per_router = network.global_links_per_router;
  fly.edge = network.edge_class;
  fly.local = network.spine_class;
  fly.global = network.global_class;
  if (fly.groups() > 1 && fly.links_per_pair() < 1)
    return refuse(
        fmt::format("{} groups need {} global links from each, there are {}", fly.groups(),
                    fly.groups() - 1, fly.routers_per_group * fly.globals_per_router),
        "add global links or make the groups larger");
  return fly;
}

}  // namespace

Result<Fabric> network_fabric(const NetworkSpec& network, int endpoints, int rails) {
  const std::string name = fmt::format("network '{}'", network.name);
  if (endpoints < 2)
    return failure(network.place, fmt::format("{} joins {} endpoints", name, endpoints),
                   "a network needs at least two");
  switch (network.shape) {
    case Shape::switched:
      return Star{endpoints, network.edge_class};
    case Shape::full_mesh:
      return FullMesh{endpoints, network.edge_class};
    case Shape::ring:
    case Shape::mesh:
    case Shape::torus:
      return grid_fabric(network.shape, network.dimensions, network.twists, endpoints,
                         network.edge_class, name, network.place);
    case Shape::fat_tree:
      return clos_fabric(network, endpoints, 1);
    case Shape::rail_fat_tree:
      return clos_fabric(network, endpoints, rails);
    case Shape::dragonfly:
      return dragonfly_fabric(network, endpoints);
    case Shape::none:
      break;
  }
  return failure(network.place, name + " has no shape", "'switched' is the simplest");
}

Result<Fabric> scale_up_fabric(const NodeGroup& group) {
  const std::string name = fmt::format("node group '{}'", group.name);
  if (!group.scale_up_class)
    return failure(group.place, name + ": scale-up links without a link class", "name the link");
  switch (group.scale_up) {
    case Shape::switched:
      return Star{group.accelerators, *group.scale_up_class};
    case Shape::full_mesh:
      return FullMesh{group.accelerators, *group.scale_up_class};
    case Shape::ring:
    case Shape::mesh:
    case Shape::torus:
      return grid_fabric(group.scale_up, group.scale_up_dimensions, {}, group.accelerators,
                         *group.scale_up_class, name, group.place);
    default:
      break;
  }
  return failure(group.place, name + ": this shape is for networks, not for scale-up",
                 "use switched, full_mesh, ring, mesh or torus");
}

}  // namespace railwright::topology
