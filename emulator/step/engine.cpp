#include "emulator/step/engine.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::emulator {

using workload::OpKind;

StepEngine::StepEngine(const Layout& layout, StepCosts& costs, Network& network,
                       const LiveRoutes& routes, const StepFaults& faults)
    : layout_(layout),
      places_(layout),
      costs_(costs),
      network_(network),
      routes_(routes),
      changes_(capacity_changes(faults.links)) {
  const auto instances = static_cast<std::size_t>(layout.instances());
  record_.ready.assign(instances, not_yet);
  record_.end.assign(instances, not_yet);
  record_.exchanges.resize(static_cast<std::size_t>(layout.exchanges()));
  record_.wait.resize(static_cast<std::size_t>(layout.actors()));
  if (costs.interferes()) {
    overlap_.emplace(layout.actors(), costs);
    record_.lost_to_overlap.resize(instances);
  }
  waits_for_.reserve(instances);
  for (int stage = 0; stage < layout.stages(); ++stage)
    for (const int count : layout.stage(stage).waits_for) {
      assert(count <= UINT16_MAX);
      waits_for_.insert(waits_for_.end(), layout.actors_of_stage(stage),
                        static_cast<std::uint16_t>(count));
    }
}

void StepEngine::look_at(const std::vector<Instant>& times, std::function<void(Instant)> look) {
  for (const Instant at : times) push(at, EventKind::look, -1, -1);
  look_ = std::move(look);
}

void StepEngine::begin(Instant now) {
  now_ = now;
  schedule_faults(now);
  start_first_ops();
  settle_overlap();
}

double StepEngine::progress() const {
  return static_cast<double>(ended_) / static_cast<double>(layout_.instances());
}

std::optional<Instant> StepEngine::next_event() const {
  return events_.empty() || ended() ? std::nullopt : std::optional(events_.first());
}

void StepEngine::handle_events(Instant now) {
  now_ = now;
  while (!events_.empty() && events_.first() == now_) handle(events_.pop());
  settle_overlap();
}

StepRecord StepEngine::take() {
  record_.events = pushed_ + transfers_;
  if (!ended()) {
    Instant at = moved_;
    if (!stalled_.empty()) at = std::max(at, routes_.from(epoch_));
    for (const OpOfActor& dead : record_.dead)
      at = std::max(at, costs_.speed(dead.actor).last_change());
    record_.standstill = at;
    for (const Stalled& stalled : stalled_) record_.cut_off.push_back(stalled.owner);
    record_.outlasts_time = record_.cut_off.empty() && record_.dead.empty();
  }
  return std::move(record_);
}

void StepEngine::push(Instant when, EventKind kind, int actor, int op) {
  events_.push(when, {kind, actor, op});
  ++pushed_;
}

// What begins later is an event; what is so already holds from the start.
void StepEngine::schedule_faults(Instant now) {
  std::set<Instant> times;
  for (const CapacityChange& change : changes_) times.insert(change.at);
  for (int epoch = 1; epoch < routes_.epochs(); ++epoch) times.insert(routes_.from(epoch));
  for (const Instant at : times)
    if (at > now) push(at, EventKind::fault, -1, -1);
  scale_links();
  while (epoch_ + 1 < routes_.epochs() && routes_.from(epoch_ + 1) <= now) ++epoch_;
}

// All links of a class have the same degradations.
void StepEngine::scale_links() {
  for (; next_change_ < changes_.size() && changes_[next_change_].at <= now_; ++next_change_) {
    const CapacityChange& change = changes_[next_change_];
    if (layout_.folding().stands(change.link))
      network_.scale_capacity(change.link, change.factor, now_);
  }
}

void StepEngine::start_first_ops() {
  for (int actor = 0; actor < layout_.actors(); ++actor)
    for (int op = 0; op < layout_.of_actor(actor).ops(); ++op)
      if (layout_.of_actor(actor).waits_for[op] == 0) ready_.push_back({actor, op});
  drain();
}

void StepEngine::handle(const Event& event) {
  const OpOfActor what{event.actor, event.op};
  switch (event.kind) {
    case EventKind::compute_end:
      end_compute(what);
      break;
    case EventKind::latency_end:
      begin_transfer(what);
      break;
    case EventKind::fault:
      scale_links();
      while (epoch_ + 1 < routes_.epochs() && routes_.from(epoch_ + 1) <= now_) change_routes();
      break;
    case EventKind::look:
      look_(now_);
      break;
  }
  drain();
}

void StepEngine::end_transfers(const std::vector<TransferId>& transfers, Instant now) {
  now_ = now;
  for (const TransferId id : transfers) {
    if (id.index >= static_cast<int>(owner_of_transfer_.size())) continue;
    const OpOfActor owner = owner_of_transfer_[id.index];
    if (owner.actor < 0) continue;
    in_flight_.erase(id.index);
    --moving_;
    if (overlap_) overlap_->transfer_ends(id, actors_of(owner));
    ++exchange_of(owner).phase;
    begin_phase(owner);
  }
  drain();
}

// Links died or returned: what is in flight moves to its new way with what it has left, in the
// order in which it started; what found no way tries again.
void StepEngine::change_routes() {
  ++epoch_;
  const std::vector<int> moving(in_flight_.begin(), in_flight_.end());
  for (const int id : moving) move_transfer(id);
  std::vector<Stalled> stalled;
  stalled.swap(stalled_);
  for (const Stalled& each : stalled) resume(each);
}

void StepEngine::move_transfer(int id) {
  const OpOfActor owner = owner_of_transfer_[id];
  const int phase = exchange_of(owner).phase;
  const ExchangeCost& before = costs_.exchange(owner.actor, owner.op, epoch_ - 1);
  const ExchangeCost& after = cost_now(owner);
  const bool same = &before == &after || (!after.gap && before.phases[phase].consumption ==
                                                            after.phases[phase].consumption);
  if (same) return;
  const double left = network_.stop({id}, now_);
  --moving_;
  if (overlap_) overlap_->transfer_ends({id}, actors_of(owner));
  in_flight_.erase(id);
  resume({owner, false, left, {id}});
}

void StepEngine::resume(const Stalled& stalled) {
  const OpOfActor owner = stalled.owner;
  if (stalled.in_latency) return begin_phase(owner);
  if (!stalled.left) return begin_transfer(owner);
  const ExchangeCost& cost = cost_now(owner);
  if (cost.gap) return stall(stalled);
  const TransferId next =
      start_transfer(owner, cost.phases[exchange_of(owner).phase], *stalled.left);
  record_.carried_on_by[stalled.transfer.index] = next;
  record_.late_start[next.index] = now_;
}

void StepEngine::stall(Stalled stalled) {
  exchange_of(stalled.owner).stalled = true;
  stalled_.push_back(stalled);
}

void StepEngine::drain() {
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    const OpOfActor what = ready_[i];
    begin(what);  // which may make more ready
  }
  ready_.clear();
}

void StepEngine::begin(OpOfActor what) {
  record_.ready[places_.instance(what.actor, what.op)] = now_;
  switch (places_.kind(what.actor, what.op)) {
    case OpKind::compute:
      begin_compute(what);
      break;
    case OpKind::collective:
      arrive(what);
      break;
    case OpKind::send:
      begin_exchange(what);
      break;
    case OpKind::receive:
      receive(what);
      break;
  }
}

void StepEngine::begin_compute(OpOfActor what) {
  const auto end = costs_.speed(what.actor).end_of(now_, costs_.compute(what.actor, what.op).time);
  if (end)
    push(*end, EventKind::compute_end, what.actor, what.op);
  else
    record_.dead.push_back(what);
  if (overlap_) overlap_->compute_begins(what.actor, what.op, now_, end);
}

void StepEngine::end_compute(OpOfActor what) {
  if (overlap_) {
    if (!overlap_->ends_now(what.actor, what.op, now_)) return;
    record_.lost_to_overlap[places_.instance(what.actor, what.op)] =
        overlap_->compute_ends(what.actor, now_);
  }
  end_op(what);
}

void StepEngine::settle_overlap() {
  if (!overlap_) return;
  overlap_->settle(now_, network_, [&](int actor, int op, std::optional<Instant> end) {
    std::erase_if(record_.dead, [&](const OpOfActor& dead) { return dead.actor == actor; });
    if (end)
      push(*end, EventKind::compute_end, actor, op);
    else
      record_.dead.push_back({actor, op});
  });
}

// Who takes part in a transfer of this exchange; good until the next call.
std::span<const int> StepEngine::actors_of(OpOfActor owner) {
  if (places_.kind(owner.actor, owner.op) != OpKind::send)
    return places_.members(owner.actor, owner.op);
  ends_of_send_ = {owner.actor, layout_.peer_of(owner.actor, owner.op)};
  return ends_of_send_;
}

void StepEngine::arrive(OpOfActor what) {
  Exchange& exchange = record_.exchanges[places_.exchange(what.actor, what.op)];
  // Until the last member is here, `start` is when the latest one came.
  if (exchange.start < now_ || what.actor < exchange.last_actor) {
    exchange.last_actor = what.actor;
    exchange.last_op = what.op;
  }
  exchange.start = now_;
  const auto members = places_.members(what.actor, what.op);
  if (++exchange.arrived == static_cast<int>(members.size()))
    begin_exchange({exchange.last_actor, exchange.last_op});
}

void StepEngine::receive(OpOfActor what) {
  const int source = layout_.peer_of(what.actor, what.op);
  const int send = layout_.of_actor(what.actor).peer_op[what.op];
  if (record_.end[places_.instance(source, send)] != not_yet) end_op(what);
}

Exchange& StepEngine::exchange_of(OpOfActor owner) {
  return record_.exchanges[places_.exchange(owner.actor, owner.op)];
}

const ExchangeCost& StepEngine::cost_now(OpOfActor owner) {
  return epoch_ == 0 ? *exchange_of(owner).cost : costs_.exchange(owner.actor, owner.op, epoch_);
}

void StepEngine::begin_exchange(OpOfActor owner) {
  Exchange& exchange = exchange_of(owner);
  exchange.start = now_;
  exchange.cost = &costs_.exchange(owner.actor, owner.op);
  exchange.first_transfer = static_cast<std::int64_t>(record_.transfers.size());
  record_.transfers.resize(record_.transfers.size() + exchange.cost->phases.size());
  begin_phase(owner);
}

void StepEngine::begin_phase(OpOfActor owner) {
  const Exchange& exchange = exchange_of(owner);
  if (exchange.phase == static_cast<int>(exchange.cost->phases.size())) return end_exchange(owner);
  const ExchangeCost& cost = cost_now(owner);
  if (cost.gap) return stall({owner, true, {}, {}});
  if (&cost != exchange.cost)
    record_.other_cost[{places_.exchange(owner.actor, owner.op), exchange.phase}] = &cost;
  push(now_ + cost.phases[exchange.phase].latency, EventKind::latency_end, owner.actor, owner.op);
}

void StepEngine::begin_transfer(OpOfActor owner) {
  Exchange& exchange = exchange_of(owner);
  const ExchangeCost& cost = cost_now(owner);
  if (cost.gap) return stall({owner, false, {}, {}});
  const ExchangePhase& phase = cost.phases[exchange.phase];
  if (phase.bytes <= 0 || phase.consumption.empty()) {
    ++exchange.phase;
    return begin_phase(owner);
  }
  const TransferId id = start_transfer(owner, phase, phase.bytes);
  record_.transfers[exchange.first_transfer + exchange.phase] = id;
  if (exchange.stalled) record_.late_start[id.index] = now_;
}

TransferId StepEngine::start_transfer(OpOfActor owner, const ExchangePhase& phase, double bytes) {
  transfer_.consumption = phase.consumption;
  transfer_.bytes = bytes;
  transfer_.count = layout_.copies(owner.actor, owner.op);
  const TransferId id = network_.start(transfer_, now_);
  ++moving_;
  owner_of_transfer_.resize(static_cast<std::size_t>(id.index) + 1);
  owner_of_transfer_[id.index] = owner;
  ++transfers_;
  if (routes_.epochs() > 1) in_flight_.insert(id.index);
  if (overlap_) overlap_->transfer_begins(id, actors_of(owner));
  return id;
}

void StepEngine::end_exchange(OpOfActor owner) {
  const bool sends = places_.kind(owner.actor, owner.op) == OpKind::send;
  sends ? end_send(owner) : end_collective(owner);
}

void StepEngine::end_collective(OpOfActor owner) {
  const Instant start = exchange_of(owner).start;
  for (const int actor : places_.members(owner.actor, owner.op)) {
    const int member_op = places_.op_at_member(owner.actor, owner.op, actor);
    record_.wait[actor] += start - record_.ready[places_.instance(actor, member_op)];
    end_op({actor, member_op});
  }
}

void StepEngine::end_send(OpOfActor owner) {
  const int target = layout_.peer_of(owner.actor, owner.op);
  const int receive = layout_.of_actor(owner.actor).peer_op[owner.op];
  const Instant start = record_.exchanges[places_.exchange(owner.actor, owner.op)].start;
  end_op(owner);
  const Instant waiting_since = record_.ready[places_.instance(target, receive)];
  if (waiting_since == not_yet) return;
  if (waiting_since < start) record_.wait[target] += start - waiting_since;
  end_op({static_cast<int>(target), receive});
}

void StepEngine::end_op(OpOfActor what) {
  record_.end[places_.instance(what.actor, what.op)] = now_;
  moved_ = now_;
  ++ended_;
  for (const int next : places_.successors(what.actor, what.op))
    if (--waits_for_[places_.instance(what.actor, next)] == 0) ready_.push_back({what.actor, next});
}

std::optional<Instant> run_instant(std::span<StepEngine* const> engines, Network& network) {
  const std::optional<Instant> next_transfer = network.next_end();
  std::optional<Instant> now = next_transfer;
  for (const StepEngine* engine : engines)
    if (const auto event = engine->next_event()) now = std::min(now.value_or(*event), *event);
  if (!now) return now;
  if (next_transfer == now) {
    const std::vector<TransferId>& ended = network.advance_to(*now);
    for (StepEngine* engine : engines) engine->end_transfers(ended, *now);
  }
  for (StepEngine* engine : engines) engine->handle_events(*now);
  return now;
}

}  // namespace railwright::emulator
