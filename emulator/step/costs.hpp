// What ops cost on the accelerators and links that a plan puts them on, each computed once.
// Private to the emulator.
#pragma once

#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "emulator/step.hpp"
#include "emulator/step/layout.hpp"
#include "emulator/step/live_routes.hpp"

namespace railwright::emulator {

struct ComputeCost {
  workload::ComputeTime parts;
  Picoseconds time;  // of `parts`, at full speed
};

// How many times as long things take on an accelerator while it computes and communicates.
struct Interference {
  double compute = 1, communication = 1;
};

// One phase of an exchange: the latency of all its steps, then one transfer.
struct ExchangePhase {
  Picoseconds latency;
  Seconds link_latency, software_latency;  // how `latency` divides
  double bytes = 0;
  std::vector<topology::LinkShare> consumption;
};
struct ExchangeCost {
  std::vector<ExchangePhase> phases;
  std::optional<Gap> gap;  // it cannot go on: no phases
  Seconds expected;        // alone on idle, healthy links
  int use = -1;            // index into StepCosts::uses; sends: -1
};

class StepCosts {
 public:
  // All arguments must outlive it.
  StepCosts(const LiveRoutes& routes, const Plan& plan, const Layout& layout,
            const topology::Calibration& calibration, const StepFaults& faults);
  // For the cluster of this router, whose rates may be others: exchanges load links as `priced`
  // says, whatever their capacities. What ExchangeCost::expected says is then that of the former
  // cluster.
  StepCosts(const LiveRoutes& routes, const StepCosts& priced);

  const ComputeCost& compute(int actor, int op) const;
  Interference interference(int actor) const { return interference_[traits_.ranks[actor].kind]; }
  bool interferes() const;  // any accelerator of the actors
  // How fast the actor's accelerator is when.
  const SpeedCourse& speed(int actor) const;
  // Its phases load the first link of each class of links with what they put on every link of it.
  // Epochs in which it goes the same ways share one cost; all have equally many phases, and the
  // same bytes to move in each.
  const ExchangeCost& exchange(int actor, int op, int epoch = 0);
  // Operation, group, algorithm and size of each kind of collective that was asked for.
  const std::vector<CollectiveUse>& uses() const { return uses_; }

 private:
  void price_bodies();
  void read_interference();
  const ExchangeCost& collective(int actor, int op, int epoch);
  const ExchangeCost& send(int actor, int op, int epoch);
  // `healthy`: the cost of the same exchange in epoch 0; -1: this is that one.
  int add_cost(const collectives::Schedule& schedule, Bytes size,
               const std::vector<topology::AcceleratorId>& members, std::int64_t copies,
               int healthy, int epoch);
  int use_of(const MeetingKind& kind, collectives::Algorithm algorithm);
  void add_unfolded(const collectives::Schedule& schedule, Bytes size,
                    const std::vector<topology::AcceleratorId>& members, int epoch,
                    ExchangeCost& cost) const;
  void add_folded(const collectives::Schedule& schedule, Bytes size,
                  const std::vector<topology::AcceleratorId>& members, std::int64_t copies,
                  int epoch, ExchangeCost& cost);

  const LiveRoutes& routes_;
  const Plan& plan_;
  const Layout& layout_;
  const topology::Calibration& calibration_;
  Traits traits_;                                               // of the actors
  std::vector<std::vector<std::vector<ComputeCost>>> compute_;  // stage, body, kind
  std::vector<Interference> interference_;                      // per kind
  std::vector<std::vector<std::vector<int>>> meeting_cost_;     // epoch, kind, class of groups
  std::map<std::tuple<int, int, int, std::uint64_t>, int> send_cost_;  // epoch, actor, stage, size
  std::deque<collectives::BundleLoads> loads_;                         // per epoch
  std::deque<ExchangeCost> costs_;  // references stay good while it grows
  std::vector<CollectiveUse> uses_;
};

}  // namespace railwright::emulator
