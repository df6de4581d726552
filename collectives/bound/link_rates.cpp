#include "collectives/bound/link_rates.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace railwright::collectives {

namespace {

// Capacities in bytes/s become such in units.
LinkRates counted(LinkRates rates) {
  Amount unit = 0;
  for (const Amount capacity : rates.capacity) unit = std::gcd(unit, capacity);
  unit = std::max<Amount>(unit, 1);
  rates.total = 0;
  for (Amount& capacity : rates.capacity) rates.total += capacity /= unit;
  rates.unit *= unit;
  return rates;
}

}  // namespace

LinkRates rates_of(const topology::Graph& graph) {
  return rates_of(graph, [&](topology::LinkId link) { return graph.capacity(link); });
}

LinkRates rates_of(const topology::Graph& graph,
                   const std::function<Bandwidth(topology::LinkId)>& rate_of) {
  LinkRates rates{&graph, std::vector<Amount>(graph.links()), 1, 0};
  for (int l = 0; l < graph.links(); ++l)
    rates.capacity[l] = static_cast<Amount>(std::ceil(rate_of({l}).bytes_per_second));
  return counted(std::move(rates));
}

LinkRates rates_within(const std::vector<char>& usable, const topology::Graph& graph) {
  LinkRates rates = rates_of(graph);
  for (int l = 0; l < graph.links(); ++l)
    if (!usable[graph.source[l]] || !usable[graph.target[l]]) rates.capacity[l] = 0;
  return counted(std::move(rates));
}

LinkRates with_equal_directions(LinkRates rates) {
  const topology::Graph& graph = *rates.graph;
  const std::vector<Amount> given = rates.capacity;
  for (int l = 0; l < graph.links(); ++l) {
    const auto back = graph.link_between(graph.target_of({l}), graph.source_of({l}));
    rates.capacity[l] = back ? std::min(given[l], given[back->index]) : 0;
  }
  return counted(std::move(rates));
}

Entering entering(const topology::Graph& graph) {
  Entering entering{std::vector<int>(graph.vertices() + 1, 0), std::vector<int>(graph.links())};
  for (const int v : graph.target) ++entering.first[v + 1];
  std::partial_sum(entering.first.begin(), entering.first.end(), entering.first.begin());
  std::vector<int> next(entering.first.begin(), entering.first.end() - 1);
  for (int l = 0; l < graph.links(); ++l) entering.links[next[graph.target[l]]++] = l;
  return entering;
}

}  // namespace railwright::collectives
