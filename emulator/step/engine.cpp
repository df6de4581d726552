#include "emulator/step/engine.hpp"

#include <algorithm>

namespace railwright::emulator {

using workload::OpKind;

StepEngine::StepEngine(const Layout& layout, StepCosts& costs, Network& network,
                       const StepFaults& faults)
    : layout_(layout), places_(layout), costs_(costs), network_(network), faults_(faults) {
  const auto instances = static_cast<std::size_t>(layout.instances());
  record_.ready.assign(instances, not_yet);
  record_.end.assign(instances, not_yet);
  record_.exchanges.resize(static_cast<std::size_t>(layout.exchanges()));
  record_.wait.resize(static_cast<std::size_t>(layout.actors()));
  waits_for_.reserve(instances);
  for (int stage = 0; stage < layout.stages(); ++stage)
    for (const int count : layout.stage(stage).waits_for) {
      assert(count <= UINT16_MAX);
      waits_for_.insert(waits_for_.end(), layout.actors_of_stage(stage),
                        static_cast<std::uint16_t>(count));
    }
}

StepRecord StepEngine::run(const std::function<void(double)>& progress) {
  constexpr std::int64_t report_every = 1 << 16;
  schedule_faults();
  start_first_ops();
  const std::int64_t all = layout_.instances();
  std::int64_t rounds = 0;
  while (ended_ < all) {
    const std::optional<Instant> next_transfer = network_.next_end();
    if (!next_transfer && events_.empty()) {
      assert(transfers_ended_ < owner_of_transfer_.size() && "ops wait for each other");
      record_.outlasts_time = true;
      break;
    }
    now_ = next_transfer.value_or(Instant{INT64_MAX});
    if (!events_.empty()) now_ = std::min(now_, events_.first());
    if (next_transfer == now_) end_transfers();
    while (!events_.empty() && events_.first() == now_) {
      handle(events_.pop());
    }
    if (progress && ++rounds % report_every == 0)
      progress(static_cast<double>(ended_) / static_cast<double>(all));
  }
  record_.events = pushed_ + static_cast<std::int64_t>(owner_of_transfer_.size());
  return std::move(record_);
}

void StepEngine::push(Instant when, EventKind kind, int actor, int op) {
  events_.push(when, {kind, actor, op});
  ++pushed_;
}

void StepEngine::schedule_faults() {
  for (const LinkDegradation& fault : faults_.links) {
    push(fault.from, EventKind::fault, -1, -1);
    if (fault.until) push(*fault.until, EventKind::fault, -1, -1);
  }
  apply_faults();
}

// Degradations of one link multiply while they overlap. All links of a class have the same ones.
void StepEngine::apply_faults() {
  std::map<topology::LinkId, double> factor;
  for (const LinkDegradation& fault : faults_.links) {
    if (!layout_.folding().stands(fault.link)) continue;
    const bool active = fault.from <= now_ && (!fault.until || now_ < *fault.until);
    factor.emplace(fault.link, 1.0).first->second *= active ? fault.factor : 1.0;
  }
  for (const auto& [link, scale] : factor) network_.scale_capacity(link, scale, now_);
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
      end_op(what);
      break;
    case EventKind::latency_end:
      begin_transfer(what);
      break;
    case EventKind::fault:
      apply_faults();
      break;
  }
  drain();
}

void StepEngine::end_transfers() {
  for (const TransferId id : network_.advance_to(now_)) {
    const OpOfActor owner = owner_of_transfer_[id.index];
    ++transfers_ended_;
    ++record_.exchanges[places_.exchange(owner.actor, owner.op)].phase;
    begin_phase(owner);
  }
  drain();
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
      push(now_ + costs_.compute_time(what.actor, what.op), EventKind::compute_end, what.actor,
           what.op);
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

void StepEngine::begin_exchange(OpOfActor owner) {
  Exchange& exchange = record_.exchanges[places_.exchange(owner.actor, owner.op)];
  exchange.start = now_;
  exchange.cost = &costs_.exchange(owner.actor, owner.op);
  exchange.first_transfer = static_cast<std::int64_t>(record_.transfers.size());
  record_.transfers.resize(record_.transfers.size() + exchange.cost->phases.size());
  begin_phase(owner);
}

void StepEngine::begin_phase(OpOfActor owner) {
  const Exchange& exchange = record_.exchanges[places_.exchange(owner.actor, owner.op)];
  if (exchange.phase == static_cast<int>(exchange.cost->phases.size())) return end_exchange(owner);
  const Picoseconds latency = exchange.cost->phases[exchange.phase].latency;
  push(now_ + latency, EventKind::latency_end, owner.actor, owner.op);
}

void StepEngine::begin_transfer(OpOfActor owner) {
  Exchange& exchange = record_.exchanges[places_.exchange(owner.actor, owner.op)];
  const ExchangePhase& phase = exchange.cost->phases[exchange.phase];
  if (phase.bytes <= 0 || phase.consumption.empty()) {
    ++exchange.phase;
    return begin_phase(owner);
  }
  transfer_.consumption = phase.consumption;
  transfer_.bytes = phase.bytes;
  transfer_.count = layout_.copies(owner.actor, owner.op);
  const TransferId id = network_.start(transfer_, now_);
  assert(id.index == static_cast<int>(owner_of_transfer_.size()));
  owner_of_transfer_.push_back(owner);
  record_.transfers[exchange.first_transfer + exchange.phase] = id;
}

void StepEngine::end_exchange(OpOfActor owner) {
  const bool sends = places_.kind(owner.actor, owner.op) == OpKind::send;
  sends ? end_send(owner) : end_collective(owner);
}

void StepEngine::end_collective(OpOfActor owner) {
  const Instant start = record_.exchanges[places_.exchange(owner.actor, owner.op)].start;
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
  ++ended_;
  for (const int next : places_.successors(what.actor, what.op)) {
    if (--waits_for_[places_.instance(what.actor, next)] == 0) ready_.push_back({what.actor, next});
  }
}

}  // namespace railwright::emulator
