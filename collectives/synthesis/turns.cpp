#include "collectives/turns.hpp"

#include <algorithm>

namespace railwright::collectives {

std::vector<topology::LinkId> filled_links(const std::vector<topology::LinkId>& route,
                                           const topology::Graph& graph) {
  std::vector<topology::LinkId> filled;
  if (route.empty()) return filled;
  const auto rate = [&](topology::LinkId link) { return graph.capacity(link); };
  const Bandwidth narrowest = rate(*std::ranges::min_element(route, {}, rate));
  std::ranges::copy_if(route, std::back_inserter(filled),
                       [&](topology::LinkId link) { return rate(link) == narrowest; });
  return filled;
}

}  // namespace railwright::collectives
