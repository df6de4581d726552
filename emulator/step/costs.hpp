// What ops cost on the accelerators and links that a plan puts them on, each computed once.
// Private to the emulator.
#pragma once

#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "emulator/faults.hpp"
#include "emulator/step.hpp"
#include "emulator/step/layout.hpp"
#include "topology/routing.hpp"

namespace railwright::emulator {

struct ComputeCost {
  workload::ComputeTime parts;
  Picoseconds time;  // of `parts`, at full speed
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
  Seconds expected;  // alone on idle links
  int use = -1;      // index into StepCosts::uses; sends: -1
};

class StepCosts {
 public:
  // All arguments must outlive it.
  StepCosts(const topology::Cluster& cluster, const Plan& plan, const Layout& layout,
            const topology::Calibration& calibration, const StepFaults& faults);

  const ComputeCost& compute(std::int64_t rank, int op) const;
  // With the slowdown of the rank's accelerator.
  Picoseconds compute_time(std::int64_t rank, int op) const;
  const ExchangeCost& exchange(std::int64_t rank, int op);
  // Operation, group, algorithm and size of each kind of collective that was asked for.
  const std::vector<CollectiveUse>& uses() const { return uses_; }

 private:
  void place_ranks(const StepFaults& faults);
  void price_bodies();
  const ExchangeCost& collective(std::int64_t rank, int op);
  const ExchangeCost& send(std::int64_t rank, int op);
  int add_cost(const collectives::Schedule& schedule, Bytes size,
               const std::vector<topology::AcceleratorId>& members);
  int use_of(const MeetingKind& kind, collectives::Algorithm algorithm);

  const topology::Cluster& cluster_;
  const Plan& plan_;
  const Layout& layout_;
  const topology::Calibration& calibration_;
  topology::Router router_;
  std::vector<int> kind_of_rank_;  // index of its accelerator's kind
  std::vector<double> slowdown_;   // per rank: 1 / speed; empty when all run at full speed
  std::vector<std::vector<std::vector<ComputeCost>>> compute_;    // stage, body, kind
  std::vector<std::vector<int>> meeting_cost_;                    // kind of meeting, group
  std::map<std::tuple<int, int, std::uint64_t>, int> send_cost_;  // source, target, size
  std::deque<ExchangeCost> costs_;  // references stay good while it grows
  std::vector<CollectiveUse> uses_;
};

}  // namespace railwright::emulator
