// A step made ready: programs laid out on their ranks, ranks that are alike folded. It runs as
// often as one likes, also with capacities and speeds that are a little different. Private to the
// emulator.
#pragma once

#include <functional>
#include <memory>

#include "emulator/step/engine.hpp"

namespace railwright::emulator {

// What happened, and the costs and links on which it happened.
struct Execution {
  std::unique_ptr<LiveRoutes> routes;  // of the cluster that it ran on
  std::unique_ptr<StepCosts> costs;
  std::shared_ptr<Network> network;  // of several jobs, when they run together
  StepRecord record;
};

// From time 0 to the last end.
Picoseconds length_of(const StepRecord& record);

class PreparedStep {
 public:
  // Takes faults and folding from the options. Cluster, plan, calibration and options must outlive
  // it. Fails when the programs do not match each other, or are too many, or links die too often.
  static Result<PreparedStep> make(const topology::Cluster& cluster, const Plan& plan,
                                   std::vector<workload::Program> programs,
                                   const topology::Calibration& calibration,
                                   const StepOptions& options);

  const Layout& layout() const { return *layout_; }
  // `cluster` is that of make, or one in which whole link classes and kinds of accelerators have
  // other rates: what was alike stays alike. It must outlive the result.
  Execution run(const topology::Cluster& cluster, const std::function<void(double)>& progress = {},
                const std::function<void(Network&, StepEngine&)>& prepare = {}) const;
  // The same once more, with exchanges priced as in an earlier run.
  Execution run_again(const topology::Cluster& cluster, const StepCosts& priced) const;
  // Routes, costs and an idle network: all that a run needs.
  Execution set_up(const topology::Cluster& cluster, std::shared_ptr<Network> network) const;
  // The same with several steps on one network, each on accelerators of its own. A step that ends
  // begins again, until all have ended once; what is returned is the first one of each.
  static std::vector<Execution> run_together(const std::vector<const PreparedStep*>& steps,
                                             const topology::Cluster& cluster);

 private:
  PreparedStep() = default;
  void run_alone(Execution& execution, const std::function<void(double)>& progress,
                 const std::function<void(Network&, StepEngine&)>& prepare) const;
  std::unique_ptr<StepEngine> engine(Execution& execution) const;

  const Plan* plan_ = nullptr;
  const topology::Calibration* calibration_ = nullptr;
  const StepFaults* faults_ = nullptr;
  std::unique_ptr<Programs> programs_;  // each refers to those before it
  std::unique_ptr<Folding> folding_;
  std::unique_ptr<Layout> layout_;
};

}  // namespace railwright::emulator
