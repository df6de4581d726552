#include "emulator/solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/network/filling.hpp"

namespace railwright::emulator {
namespace {

// Load and largest rate / share of each link.
struct LinkState {
  double load = 0, level = 0;
};

std::vector<LinkState> link_states(const System& system, const Allocation& allocation) {
  std::vector<LinkState> states(system.capacity.size());
  for (std::size_t v = 0; v < system.variables.size(); ++v)
    for (const Consumption& use : system.variables[v].consumption) {
      states[use.link].load += use.per_rate * allocation.rate[v];
      states[use.link].level =
          std::max(states[use.link].level, allocation.rate[v] / system.variables[v].share);
    }
  return states;
}

bool is_maximal_on(int link, const System& system, const std::vector<LinkState>& states,
                   double level, double tolerance) {
  return states[link].load >= system.capacity[link] * (1 - tolerance) &&
         level >= states[link].level * (1 - tolerance);
}

std::string variable_violation(const System& system, const Allocation& allocation,
                               const std::vector<LinkState>& states, std::size_t v,
                               double tolerance) {
  const Variable& variable = system.variables[v];
  const double rate = allocation.rate[v];
  const int named = allocation.limiting_link[v];
  if (std::isnan(rate) || rate > variable.cap * (1 + tolerance))
    return fmt::format("variable {}: rate {} over its cap {}", v, rate, variable.cap);
  const auto binds = [&](const Consumption& use) {
    return is_maximal_on(use.link, system, states, rate / variable.share, tolerance);
  };
  const auto& uses = variable.consumption;
  const bool at_cap = rate >= variable.cap * (1 - tolerance);
  if (!at_cap && std::none_of(uses.begin(), uses.end(), binds))
    return fmt::format("variable {}: rate {} is neither its cap nor bound by a link", v, rate);
  const bool named_binds = std::any_of(uses.begin(), uses.end(), [&](const Consumption& use) {
    return use.link == named && binds(use);
  });
  if (named < 0 ? !at_cap : !named_binds)
    return fmt::format("variable {}: limiting link {} does not bind it", v, named);
  return {};
}

}  // namespace

Allocation max_min(const System& system) {
  Filling filling;
  for (std::size_t l = 0; l < system.capacity.size(); ++l)
    filling.add_link(system.capacity[l], static_cast<int>(l));
  for (const Variable& variable : system.variables) {
    filling.add_variable(variable.share, variable.cap);
    for (const Consumption& use : variable.consumption)
      filling.add_consumption(use.link, use.per_rate);
  }
  filling.solve();
  Allocation allocation;
  for (int v = 0; v < filling.variables(); ++v) {
    allocation.rate.push_back(filling.rate(v));
    allocation.limiting_link.push_back(filling.limiting(v));
  }
  return allocation;
}

std::string certificate_violation(const System& system, const Allocation& allocation,
                                  double tolerance) {
  assert(allocation.rate.size() == system.variables.size());
  assert(allocation.limiting_link.size() == system.variables.size());
  const std::vector<LinkState> states = link_states(system, allocation);
  for (std::size_t l = 0; l < states.size(); ++l)
    if (!(states[l].load <= system.capacity[l] * (1 + tolerance)))
      return fmt::format("link {}: load {} over its capacity {}", l, states[l].load,
                         system.capacity[l]);
  for (std::size_t v = 0; v < system.variables.size(); ++v)
    if (auto violation = variable_violation(system, allocation, states, v, tolerance);
        !violation.empty())
      return violation;
  return {};
}

}  // namespace railwright::emulator
