#include "emulator/step/costs.hpp"

#include <algorithm>

namespace railwright::emulator {

using collectives::Algorithm;
using collectives::PhaseLoad;
using collectives::Schedule;

namespace {

ExchangePhase phase_of(const PhaseLoad& load) {
  const auto steps = static_cast<double>(load.steps);
  ExchangePhase phase;
  phase.latency = ceil_picoseconds(steps * load.step_latency);
  phase.software_latency = steps * load.software_latency;
  phase.link_latency = {std::max(0.0, (steps * load.step_latency - phase.software_latency).value)};
  phase.bytes = steps * load.bytes_per_step;
  return phase;
}

}  // namespace

StepCosts::StepCosts(const topology::Router& router, const Plan& plan, const Layout& layout,
                     const topology::Calibration& calibration, const StepFaults& faults)
    : router_(router),
      plan_(plan),
      layout_(layout),
      calibration_(calibration),
      traits_(traits_of(layout.folding().ranks.first, plan, router.cluster(), faults)),
      loads_(router, calibration) {
  price_bodies();
  meeting_cost_.resize(layout.meeting_kinds().size());
  for (std::size_t k = 0; k < meeting_cost_.size(); ++k)
    meeting_cost_[k].assign(layout.groups(layout.meeting_kinds()[k].group).size.size(), -1);
}

StepCosts::StepCosts(const topology::Router& router, const StepCosts& priced)
    : router_(router),
      plan_(priced.plan_),
      layout_(priced.layout_),
      calibration_(priced.calibration_),
      traits_(priced.traits_),
      meeting_cost_(priced.meeting_cost_),
      send_cost_(priced.send_cost_),
      loads_(router, priced.calibration_),
      costs_(priced.costs_),
      uses_(priced.uses_) {
  price_bodies();
}

void StepCosts::price_bodies() {
  compute_.resize(static_cast<std::size_t>(layout_.stages()));
  for (int s = 0; s < layout_.stages(); ++s)
    for (const workload::Body& body : layout_.stage(s).program.bodies) {
      auto& per_kind = compute_[s].emplace_back();
      for (const auto& kind : router_.cluster().spec.accelerator_kinds) {
        const auto parts =
            workload::compute_time(body.kernels, kind, plan_.training.precision, calibration_);
        per_kind.push_back({parts, ceil_picoseconds(parts.total())});
      }
    }
}

const ComputeCost& StepCosts::compute(int actor, int op) const {
  const int kind = traits_[actor].kind;
  return compute_[layout_.stage_of(actor)][layout_.op(actor, op).body][kind];
}

Picoseconds StepCosts::compute_time(int actor, int op) const {
  const Picoseconds time = compute(actor, op).time;
  const double slowdown = traits_[actor].slowdown;
  return slowdown == 1 ? time : std::max(time, ceil_picoseconds(slowdown * in_seconds(time)));
}

const ExchangeCost& StepCosts::exchange(int actor, int op) {
  const bool sends = layout_.op(actor, op).kind == workload::OpKind::send;
  return sends ? send(actor, op) : collective(actor, op);
}

const ExchangeCost& StepCosts::collective(int actor, int op) {
  const int kind_index = layout_.of_actor(actor).meeting_kind[op];
  const MeetingKind& kind = layout_.meeting_kinds()[kind_index];
  const int group = layout_.group_of(actor, kind.group);
  int& cost = meeting_cost_[kind_index][group];
  if (cost < 0) {
    const Schedule schedule = schedule_of(plan_, kind.group, kind.operation, kind.size);
    const auto members = members_of(plan_, kind.group, layout_.first_rank_of(kind.group, group));
    cost = add_cost(schedule, kind.size, members, layout_.copies(actor, op));
    costs_[cost].use = use_of(kind, schedule.algorithm);
  }
  return costs_[cost];
}

const ExchangeCost& StepCosts::send(int actor, int op) {
  const workload::Op& what = layout_.op(actor, op);
  const auto key = std::tuple(actor, what.peer_stage, what.bytes.count);
  const auto [found, added] = send_cost_.try_emplace(key, -1);
  if (added) {
    Schedule schedule;
    schedule.operation = workload::Operation::send;
    schedule.algorithm = Algorithm::direct;
    schedule.ranks = 2;
    const auto place = [&](std::int64_t rank) {
      return accelerator_of(rank, plan_.placement, plan_.degrees);
    };
    const std::int64_t rank = layout_.rank_of(actor);
    found->second =
        add_cost(schedule, what.bytes, {place(rank), place(layout_.peer_rank(rank, op))},
                 layout_.copies(actor, op));
  }
  return costs_[found->second];
}

int StepCosts::add_cost(const Schedule& schedule, Bytes size,
                        const std::vector<topology::AcceleratorId>& members, std::int64_t copies) {
  ExchangeCost cost;
  if (members.size() > 1 && layout_.folding().folds_links()) {
    add_folded(schedule, size, members, copies, cost);
  } else if (members.size() > 1) {
    const auto loads = phase_loads(schedule, size, members, router_, calibration_);
    for (const PhaseLoad& load : loads) {
      cost.phases.push_back(phase_of(load));
      cost.phases.back().consumption = load.consumption;
    }
    cost.expected = idle_time(loads, router_.cluster().graph, calibration_);
  }
  costs_.push_back(std::move(cost));
  return static_cast<int>(costs_.size()) - 1;
}

// What one exchange puts on all links of a class, spread over them, as often as there are copies.
void StepCosts::add_folded(const Schedule& schedule, Bytes size,
                           const std::vector<topology::AcceleratorId>& members, std::int64_t copies,
                           ExchangeCost& cost) {
  const Folding& folding = layout_.folding();
  loads_.find(schedule, size, members);
  std::vector<PhaseLoad> alone = loads_.phases();
  std::vector<std::map<int, double>> sums(alone.size());  // by class of links
  for (const collectives::BundleLoads::Use& use : loads_.uses()) {
    const std::vector<double>& loads = loads_.loads_of(use.kind);
    folding.for_parts(use.bundle, router_.size_of(use.bundle), [&](int set, int links) {
      for (std::size_t p = 0; p < alone.size(); ++p) {
        if (loads[p] <= 0) continue;
        sums[p][set] += links * loads[p];
        alone[p].consumption.push_back({folding.link_of(set), loads[p]});
      }
    });
  }
  for (std::size_t p = 0; p < alone.size(); ++p) {
    cost.phases.push_back(phase_of(alone[p]));
    for (const auto& [set, sum] : sums[p]) {
      const auto count = static_cast<double>(folding.links.sets[set].count);
      cost.phases.back().consumption.push_back(
          {folding.link_of(set), sum * (static_cast<double>(copies) / count)});
    }
    std::ranges::sort(cost.phases.back().consumption, {}, &topology::LinkShare::link);
  }
  cost.expected = idle_time(alone, router_.cluster().graph, calibration_);
}

int StepCosts::use_of(const MeetingKind& kind, Algorithm algorithm) {
  const auto same = [&](const CollectiveUse& use) {
    return use.group == kind.group && use.operation == kind.operation &&
           use.algorithm == algorithm && use.size == kind.size;
  };
  const auto found = std::find_if(uses_.begin(), uses_.end(), same);
  if (found != uses_.end()) return static_cast<int>(found - uses_.begin());
  uses_.push_back({kind.group, kind.operation, algorithm, kind.size, 0, {}, {}});
  return static_cast<int>(uses_.size()) - 1;
}

}  // namespace railwright::emulator
