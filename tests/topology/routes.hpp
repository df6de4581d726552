// What tests ask of routes.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "topology/routing.hpp"

namespace railwright::topology {

inline constexpr RoutingMode all_modes[] = {
    RoutingMode::spray,    RoutingMode::d_mod_k,         RoutingMode::ecmp_hash,
    RoutingMode::adaptive, RoutingMode::dimension_order, RoutingMode::shortest_path};

inline double hops_of(const Route& route) {
  return std::accumulate(route.links.begin(), route.links.end(), 0.0,
                         [](double sum, const LinkShare& part) { return sum + part.share; });
}

inline std::vector<std::string> names_of(const Cluster& cluster, const Route& route) {
  std::vector<std::string> names;
  for (const LinkShare& part : route.links) names.push_back(cluster.graph.name_of(part.link));
  return names;
}

}  // namespace railwright::topology
