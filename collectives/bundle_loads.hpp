// What phases put on links, told in bundles of the router: for many groups of one cluster, one
// after another, without asking for memory again.
#pragma once

#include <memory>
#include <vector>

#include "collectives/cost.hpp"

namespace railwright::collectives {

// The bundle that is told in place of this one; `stands_for` as below.
topology::BundleId standing(topology::BundleId bundle, const topology::Router& router,
                            const std::vector<int>& stands_for);

class BundleLoads {
 public:
  // Router and calibration must outlive it. `stands_for`: per period of the router the one that is
  // told in its place, where periods do the same; none: each on its own.
  BundleLoads(const topology::Router& router, const topology::Calibration& calibration,
              std::vector<int> stands_for = {});
  ~BundleLoads();

  // As phase_loads; replaces what was found before. A group that lies to an earlier one as
  // Router::move_between tells does the same elsewhere, and is not traced again. False, and nothing
  // is found: periods that another one stands for do not do the same as that.
  bool find(const Schedule& schedule, Bytes size,
            const std::vector<topology::AcceleratorId>& members);
  // Without their consumption, which is here: the bundles that some phase loads, each once, and
  // which kind of load it is. Kinds count from 0; what a kind puts on each link, phase by phase.
  struct Use {
    topology::BundleId bundle;
    int kind = 0;
  };
  const std::vector<PhaseLoad>& phases() const { return phases_; }
  const std::vector<Use>& uses() const { return uses_; }
  // So many times as many bundles are loaded: in all periods that the used ones stand for.
  int copies() const { return copies_; }
  int kinds() const { return static_cast<int>(kinds_.size()); }
  const std::vector<double>& loads_of(int kind) const {
    return kinds_[static_cast<std::size_t>(kind)];
  }

 private:
  struct State;
  bool move_known(const Schedule& schedule, Bytes size,
                  const std::vector<topology::AcceleratorId>& members);
  bool trace(const Schedule& schedule, Bytes size,
             const std::vector<topology::AcceleratorId>& members);

  std::unique_ptr<State> state_;
  std::vector<PhaseLoad> phases_;
  std::vector<Use> uses_;
  std::vector<std::vector<double>> kinds_;
  int copies_ = 1;
};

}  // namespace railwright::collectives
