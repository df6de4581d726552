// What a step costs and draws: a basic model from the catalogue's rates.
//
//   cost   = sum over accelerators of ($ per hour) x step
//   energy = sum over accelerators of TDP x (w step + (1 - w) busy),   w = waiting_power
//
// `busy` is the time in which an accelerator computes, hidden exchanges or not, averaged over the
// stages; in the rest of the step it waits or exchanges data. Hosts, switches, cooling and what
// links draw are not in it. An accelerator without a rate gets its class's, and that is said.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::coordinator {

struct Joules {
  double value = 0;
  auto operator<=>(const Joules&) const = default;
};

// Share of its rated power that an accelerator draws while it waits: an assumption.
inline constexpr double waiting_power = 0.35;

class Economy {
 public:
  // Of `accelerators` from the first one on. A price that is given holds for each of them.
  Economy(const topology::Cluster& cluster, std::int64_t accelerators,
          std::optional<Dollars> price_per_hour);

  Dollars cost(Seconds step) const;
  Joules energy(Seconds step, Seconds busy) const;
  // "no price of 'mi325x' is known: 2.50 $/h is taken", one per rate that was missing.
  const std::vector<std::string>& assumptions() const { return assumptions_; }

 private:
  Dollars per_hour_;  // of all together
  Watts rated_;
  std::vector<std::string> assumptions_;
};

// "2.5/h", "$2.5/h" or "2.5": dollars per accelerator and hour.
tl::expected<Dollars, ConfigError> parse_price(const std::string& text);

}  // namespace railwright::coordinator
