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

StepCosts::StepCosts(const LiveRoutes& routes, const Plan& plan, const Layout& layout,
                     const topology::Calibration& calibration, const StepFaults& faults)
    : routes_(routes),
      plan_(plan),
      layout_(layout),
      calibration_(calibration),
      traits_(traits_of(layout.folding().ranks.first, plan, routes.cluster(), faults)) {
  price_bodies();
  read_interference();
  std::vector<std::vector<int>> unknown;
  for (const MeetingKind& kind : layout.meeting_kinds())
    unknown.emplace_back(layout.groups(kind.group).size.size(), -1);
  meeting_cost_.assign(static_cast<std::size_t>(routes.epochs()), unknown);
  for (int epoch = 0; epoch < routes.epochs(); ++epoch)
    loads_.emplace_back(routes.router(epoch), calibration, layout.folding().links.stands_for);
}

StepCosts::StepCosts(const LiveRoutes& routes, const StepCosts& priced)
    : routes_(routes),
      plan_(priced.plan_),
      layout_(priced.layout_),
      calibration_(priced.calibration_),
      traits_(priced.traits_),
      interference_(priced.interference_),
      meeting_cost_(priced.meeting_cost_),
      send_cost_(priced.send_cost_),
      costs_(priced.costs_),
      uses_(priced.uses_) {
  price_bodies();
  for (int epoch = 0; epoch < routes.epochs(); ++epoch)
    loads_.emplace_back(routes.router(epoch), calibration_, layout_.folding().links.stands_for);
}

void StepCosts::price_bodies() {
  compute_.resize(static_cast<std::size_t>(layout_.stages()));
  for (int s = 0; s < layout_.stages(); ++s)
    for (const workload::Body& body : layout_.stage(s).program.bodies) {
      auto& per_kind = compute_[s].emplace_back();
      for (const auto& kind : routes_.cluster().spec.accelerator_kinds) {
        const auto parts =
            workload::compute_time(body.kernels, kind, plan_.training.precision, calibration_);
        per_kind.push_back({parts, ceil_picoseconds(parts.total())});
      }
    }
}

void StepCosts::read_interference() {
  for (const auto& kind : routes_.cluster().spec.accelerator_kinds) {
    const auto factor = [&](const char* parameter) {
      return calibration_.value_or(kind.subject(), parameter, 1);
    };
    interference_.push_back({factor("compute_interference"), factor("communication_interference")});
  }
}

bool StepCosts::interferes() const {
  return std::ranges::any_of(traits_.ranks, [&](const RankTraits& rank) {
    const Interference& factors = interference_[rank.kind];
    return factors.compute > 1 || factors.communication > 1;
  });
}

const ComputeCost& StepCosts::compute(int actor, int op) const {
  const int kind = traits_.ranks[actor].kind;
  return compute_[layout_.stage_of(actor)][layout_.op(actor, op).body][kind];
}

const SpeedCourse& StepCosts::speed(int actor) const {
  return traits_.courses[traits_.ranks[actor].course];
}

const ExchangeCost& StepCosts::exchange(int actor, int op, int epoch) {
  const bool sends = layout_.op(actor, op).kind == workload::OpKind::send;
  return sends ? send(actor, op, epoch) : collective(actor, op, epoch);
}

const ExchangeCost& StepCosts::collective(int actor, int op, int epoch) {
  const int kind_index = layout_.of_actor(actor).meeting_kind[op];
  const MeetingKind& kind = layout_.meeting_kinds()[kind_index];
  const int group = layout_.group_of(actor, kind.group);
  int& cost = meeting_cost_[epoch][kind_index][group];
  if (cost < 0) {
    if (epoch > 0) collective(actor, op, 0);
    const int healthy = epoch > 0 ? meeting_cost_[0][kind_index][group] : -1;
    const Schedule schedule = schedule_of(plan_, kind.group, kind.operation, kind.size);
    const auto members = members_of(plan_, kind.group, layout_.first_rank_of(kind.group, group));
    cost = add_cost(schedule, kind.size, members, layout_.copies(actor, op), healthy, epoch);
    if (epoch == 0) costs_[cost].use = use_of(kind, schedule.algorithm);
  }
  return costs_[cost];
}

const ExchangeCost& StepCosts::send(int actor, int op, int epoch) {
  const workload::Op& what = layout_.op(actor, op);
  const auto key = std::tuple(epoch, actor, what.peer_stage, what.bytes.count);
  const auto known = send_cost_.find(key);
  if (known != send_cost_.end()) return costs_[known->second];
  if (epoch > 0) send(actor, op, 0);
  const int healthy =
      epoch > 0 ? send_cost_.at(std::tuple(0, actor, what.peer_stage, what.bytes.count)) : -1;
  Schedule schedule;
  schedule.operation = workload::Operation::send;
  schedule.algorithm = Algorithm::direct;
  schedule.ranks = 2;
  const auto place = [&](std::int64_t rank) {
    return accelerator_of(rank, plan_.placement, plan_.degrees);
  };
  const std::int64_t rank = layout_.rank_of(actor);
  const int cost = add_cost(schedule, what.bytes, {place(rank), place(layout_.peer_rank(rank, op))},
                            layout_.copies(actor, op), healthy, epoch);
  send_cost_[key] = cost;
  return costs_[cost];
}

namespace {

bool same_ways(const ExchangeCost& one, const ExchangeCost& other) {
  const auto same = [](const ExchangePhase& a, const ExchangePhase& b) {
    return a.latency == b.latency && a.consumption == b.consumption;
  };
  return one.gap == other.gap && std::ranges::equal(one.phases, other.phases, same);
}

}  // namespace

int StepCosts::add_cost(const Schedule& schedule, Bytes size,
                        const std::vector<topology::AcceleratorId>& members, std::int64_t copies,
                        int healthy, int epoch) {
  ExchangeCost cost;
  if (members.size() > 1) cost.gap = routes_.gap_between(epoch, schedule, members);
  if (members.size() > 1 && !cost.gap) {
    if (layout_.folding().folds_links())
      add_folded(schedule, size, members, copies, epoch, cost);
    else
      add_unfolded(schedule, size, members, epoch, cost);
  }
  if (cost.gap) cost.phases.clear();
  if (healthy >= 0) {
    if (same_ways(cost, costs_[healthy])) return healthy;
    cost.expected = costs_[healthy].expected;
    cost.use = costs_[healthy].use;
  }
  costs_.push_back(std::move(cost));
  return static_cast<int>(costs_.size()) - 1;
}

void StepCosts::add_unfolded(const Schedule& schedule, Bytes size,
                             const std::vector<topology::AcceleratorId>& members, int epoch,
                             ExchangeCost& cost) const {
  const auto loads = phase_loads(schedule, size, members, routes_.router(epoch), calibration_);
  cost.gap = routes_.dead_link_of(epoch, loads);
  for (const PhaseLoad& load : loads) {
    cost.phases.push_back(phase_of(load));
    cost.phases.back().consumption = load.consumption;
  }
  cost.expected = idle_time(loads, routes_.cluster().graph, calibration_);
}

// What one exchange puts on all links of a class, spread over them, as often as there are copies.
void StepCosts::add_folded(const Schedule& schedule, Bytes size,
                           const std::vector<topology::AcceleratorId>& members, std::int64_t copies,
                           int epoch, ExchangeCost& cost) {
  const Folding& folding = layout_.folding();
  const topology::Router& router = routes_.router(epoch);
  collectives::BundleLoads& found = loads_[epoch];
  [[maybe_unused]] const bool alike = found.find(schedule, size, members);
  assert(alike && "folding has asked for every schedule");
  cost.gap = routes_.dead_link_of(epoch, found);
  std::vector<PhaseLoad> alone = found.phases();
  std::vector<std::map<int, double>> sums(alone.size());  // by class of links
  for (const collectives::BundleLoads::Use& use : found.uses()) {
    const std::vector<double>& loads = found.loads_of(use.kind);
    folding.for_parts(use.bundle, router.size_of(use.bundle), [&](int set, int links) {
      for (std::size_t p = 0; p < alone.size(); ++p) {
        if (loads[p] <= 0) continue;
        sums[p][set] += found.copies() * links * loads[p];
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
  cost.expected = idle_time(alone, routes_.cluster().graph, calibration_);
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
