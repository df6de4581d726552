// What phases put on links, told in bundles of the router: for many groups of one cluster, one
// after another, without asking for memory again.
#pragma once

#include <memory>
#include <vector>

#include "collectives/cost.hpp"

namespace railwright::collectives {

class BundleLoads {
 public:
  // Both must outlive it.
  BundleLoads(const topology::Router& router, const topology::Calibration& calibration);
  ~BundleLoads();

  // As phase_loads; replaces what was found before. A group that lies to an earlier one as
  // Router::move_between tells does the same elsewhere, and is not traced again.
  void find(const Schedule& schedule, Bytes size,
            const std::vector<topology::AcceleratorId>& members);
  // Without their consumption, which is here: the bundles that some phase loads, each once, and
  // which kind of load it is. Kinds count from 0; what a kind puts on each link, phase by phase.
  struct Use {
    topology::BundleId bundle;
    int kind = 0;
  };
  const std::vector<PhaseLoad>& phases() const { return phases_; }
  const std::vector<Use>& uses() const { return uses_; }
  int kinds() const { return static_cast<int>(kinds_.size()); }
  const std::vector<double>& loads_of(int kind) const {
    return kinds_[static_cast<std::size_t>(kind)];
  }

 private:
  struct State;
  void trace(const Schedule& schedule, Bytes size,
             const std::vector<topology::AcceleratorId>& members);

  std::unique_ptr<State> state_;
  std::vector<PhaseLoad> phases_;
  std::vector<Use> uses_;
  std::vector<std::vector<double>> kinds_;
};

}  // namespace railwright::collectives
