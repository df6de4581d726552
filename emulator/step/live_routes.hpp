// Routes as links die and return. Private to the emulator.
#pragma once

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "collectives/bundle_loads.hpp"
#include "emulator/faults/course.hpp"

namespace railwright::emulator {

// Why an exchange cannot go on: nothing leads from one member to another, or a link is dead that
// the schedule itself names.
struct Gap {
  topology::AcceleratorId source, target;
  topology::LinkId link;
  bool operator==(const Gap&) const = default;
};

// One router per set of dead links. Epoch 0 is the healthy cluster.
class LiveRoutes {
 public:
  LiveRoutes(const topology::Cluster& cluster, const std::vector<LinkDegradation>& degradations);
  int epochs() const { return static_cast<int>(dead_.size()); }
  Instant from(int epoch) const { return dead_[epoch].from; }
  const topology::Router& router(int epoch) const { return routers_[epoch]; }
  const topology::Cluster& cluster() const { return routers_.front().cluster(); }
  // A collective needs every member to reach every other, a send its two ends.
  std::optional<Gap> gap_between(int epoch, const collectives::Schedule& schedule,
                                 const std::vector<topology::AcceleratorId>& members) const;
  // Of loads on members between which there is no gap: ways through a switch that reduces and
  // explicit routes ask no router.
  std::optional<Gap> dead_link_of(int epoch, const collectives::BundleLoads& loads) const;
  std::optional<Gap> dead_link_of(int epoch,
                                  const std::vector<collectives::PhaseLoad>& phases) const;

 private:
  std::vector<DeadLinks> dead_;
  std::vector<topology::Router> routers_;
};

// All that tells loads apart: two exchanges with one footprint do the same on the same links.
struct Footprint {
  std::vector<std::array<double, 3>> phases;              // latency and bytes of a step, steps
  std::vector<std::pair<int, std::vector<double>>> uses;  // bundle, load phase by phase
  bool operator==(const Footprint&) const = default;
};
Footprint footprint_of(const collectives::BundleLoads& loads);

}  // namespace railwright::emulator
