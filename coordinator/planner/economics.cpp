#include "coordinator/planner/economics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace railwright::coordinator {

namespace {

using topology::AcceleratorKind;

constexpr double seconds_per_hour = 3600;

// Where the catalogue knows nothing: accelerators with stacked memory are rented by the hour in
// data centres; the others are boards on a desk.
struct ClassRates {
  const char* name;
  Dollars per_hour;
  Watts power;
};
ClassRates class_of(const AcceleratorKind& kind) {
  const bool stacked = in_gigabytes_per_second(kind.memory_bandwidth) >= 500;
  return stacked ? ClassRates{"data centre", {2.5}, {700}} : ClassRates{"desk", {0.05}, {60}};
}

}  // namespace

Economy::Economy(const topology::Cluster& cluster, std::int64_t accelerators,
                 std::optional<Dollars> price_per_hour) {
  const auto assume = [&](std::string line) {
    if (std::find(assumptions_.begin(), assumptions_.end(), line) == assumptions_.end())
      assumptions_.push_back(std::move(line));
  };
  for (std::size_t group = 0; group < cluster.spec.nodes.size(); ++group) {
    const AcceleratorKind& kind = cluster.spec.accelerator_kinds[static_cast<std::size_t>(
        cluster.spec.nodes[group].accelerator_kind)];
    const std::int64_t used =
        std::min<std::int64_t>(cluster.first_accelerator[group + 1], accelerators) -
        cluster.first_accelerator[group];
    if (used <= 0) continue;
    const ClassRates rates = class_of(kind);
    Dollars price = price_per_hour.value_or(Dollars{kind.dollars_per_hour});
    if (!price_per_hour && price.value <= 0) {
      price = rates.per_hour;
      assume(
          fmt::format("no price of '{}' is known: {:.2f} $/h is taken, as in a {}; --price sets it",
                      kind.name, price.value, rates.name));
    }
    Watts power = kind.power;
    if (power.value <= 0) {
      power = rates.power;
      assume(fmt::format("no power of '{}' is known: {:.0f} W is taken, as in a {}", kind.name,
                         power.value, rates.name));
    }
    per_hour_ = per_hour_ + static_cast<double>(used) * price;
    rated_ = rated_ + static_cast<double>(used) * power;
  }
}

Dollars Economy::cost(Seconds step) const { return step.value / seconds_per_hour * per_hour_; }

Joules Economy::energy(Seconds step, Seconds busy) const {
  const double computing = std::min(busy.value, step.value);
  return {rated_.value * (waiting_power * step.value + (1 - waiting_power) * computing)};
}

tl::expected<Dollars, ConfigError> parse_price(const std::string& text) {
  std::string_view number = text;
  if (number.starts_with('$')) number.remove_prefix(1);
  if (number.ends_with("/h")) number.remove_suffix(2);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error == std::errc() && end == number.data() + number.size() && std::isfinite(value) &&
      value > 0)
    return Dollars{value};
  return tl::unexpected(ConfigError{{},
                                    "--price '" + text + "' is no price",
                                    "write dollars per accelerator and hour, as 2.5/h"});
}

}  // namespace railwright::coordinator
