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
  phase.consumption = load.consumption;
  return phase;
}

}  // namespace

StepCosts::StepCosts(const topology::Cluster& cluster, const Plan& plan, const Layout& layout,
                     const topology::Calibration& calibration, const StepFaults& faults)
    : cluster_(cluster), plan_(plan), layout_(layout), calibration_(calibration), router_(cluster) {
  place_ranks(faults);
  price_bodies();
  meeting_cost_.resize(layout.meeting_kinds().size());
  for (std::size_t k = 0; k < meeting_cost_.size(); ++k) {
    const auto& groups = layout.groups(layout.meeting_kinds()[k].group);
    meeting_cost_[k].assign(static_cast<std::size_t>(groups.count), -1);
  }
}

void StepCosts::place_ranks(const StepFaults& faults) {
  std::map<topology::AcceleratorId, double> slowdown;
  for (const Slowdown& slow : faults.accelerators)
    slowdown.emplace(slow.accelerator, 1.0).first->second /= slow.factor;
  for (std::int64_t rank = 0; rank < layout_.ranks(); ++rank) {
    const auto where = accelerator_of(rank, plan_.placement, plan_.degrees);
    kind_of_rank_.push_back(cluster_.spec.nodes[cluster_.group_of(where)].accelerator_kind);
    if (slowdown.empty()) continue;
    const auto slow = slowdown.find(where);
    slowdown_.push_back(slow == slowdown.end() ? 1.0 : slow->second);
  }
}

void StepCosts::price_bodies() {
  compute_.resize(static_cast<std::size_t>(layout_.stages()));
  for (int s = 0; s < layout_.stages(); ++s)
    for (const workload::Body& body : layout_.stage(s).program.bodies) {
      auto& per_kind = compute_[s].emplace_back();
      for (const auto& kind : cluster_.spec.accelerator_kinds) {
        const auto parts =
            workload::compute_time(body.kernels, kind, plan_.training.precision, calibration_);
        per_kind.push_back({parts, ceil_picoseconds(parts.total())});
      }
    }
}

const ComputeCost& StepCosts::compute(std::int64_t rank, int op) const {
  return compute_[layout_.stage_of(rank)][layout_.op(rank, op).body][kind_of_rank_[rank]];
}

Picoseconds StepCosts::compute_time(std::int64_t rank, int op) const {
  const Picoseconds time = compute(rank, op).time;
  if (slowdown_.empty() || slowdown_[rank] == 1) return time;
  return std::max(time, ceil_picoseconds(slowdown_[rank] * in_seconds(time)));
}

const ExchangeCost& StepCosts::exchange(std::int64_t rank, int op) {
  const bool sends = layout_.op(rank, op).kind == workload::OpKind::send;
  return sends ? send(rank, op) : collective(rank, op);
}

const ExchangeCost& StepCosts::collective(std::int64_t rank, int op) {
  const int kind_index = layout_.of_rank(rank).meeting_kind[op];
  const MeetingKind& kind = layout_.meeting_kinds()[kind_index];
  int& cost = meeting_cost_[kind_index][layout_.groups(kind.group).group_of(rank)];
  if (cost < 0) {
    const Schedule schedule = schedule_of(plan_, kind.group, kind.operation, kind.size);
    cost = add_cost(schedule, kind.size, members_of(plan_, kind.group, rank));
    costs_[cost].use = use_of(kind, schedule.algorithm);
  }
  return costs_[cost];
}

const ExchangeCost& StepCosts::send(std::int64_t rank, int op) {
  const Bytes size = layout_.op(rank, op).bytes;
  const auto source = accelerator_of(rank, plan_.placement, plan_.degrees);
  const auto target = accelerator_of(layout_.peer_of(rank, op), plan_.placement, plan_.degrees);
  const auto key = std::tuple(source.index, target.index, size.count);
  const auto [found, added] = send_cost_.try_emplace(key, -1);
  if (added) {
    Schedule schedule;
    schedule.operation = workload::Operation::send;
    schedule.algorithm = Algorithm::direct;
    schedule.ranks = 2;
    found->second = add_cost(schedule, size, {source, target});
  }
  return costs_[found->second];
}

int StepCosts::add_cost(const Schedule& schedule, Bytes size,
                        const std::vector<topology::AcceleratorId>& members) {
  ExchangeCost cost;
  if (members.size() > 1) {
    const auto loads = phase_loads(schedule, size, members, router_, calibration_);
    for (const PhaseLoad& load : loads) cost.phases.push_back(phase_of(load));
    cost.expected = idle_time(loads, cluster_.graph, calibration_);
  }
  costs_.push_back(std::move(cost));
  return static_cast<int>(costs_.size()) - 1;
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
