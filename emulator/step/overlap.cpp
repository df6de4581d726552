#include "emulator/step/overlap.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::emulator {

Overlap::Overlap(int actors, const StepCosts& costs)
    : costs_(costs), actors_(static_cast<std::size_t>(actors)) {}

void Overlap::mark_actor(int index) {
  if (actors_[index].changed) return;
  actors_[index].changed = true;
  changed_actors_.push_back(index);
}

void Overlap::mark_transfer(int id) {
  if (moving_[id].changed) return;
  moving_[id].changed = true;
  changed_transfers_.push_back(id);
}

void Overlap::compute_begins(int index, int op, Instant now, std::optional<Instant> end) {
  Actor& actor = actors_[index];
  assert(actor.op < 0 && "an accelerator computes one op after the other");
  actor.op = op;
  actor.end = end;
  actor.slowdown = 1;
  actor.since = now;
  actor.left = in_seconds(costs_.compute(index, op).time);
  actor.lost = {};
  mark_actor(index);
}

bool Overlap::ends_now(int index, int op, Instant now) const {
  return actors_[index].op == op && actors_[index].end == now;
}

Picoseconds Overlap::compute_ends(int index, Instant now) {
  work_until(index, now);
  actors_[index].op = -1;
  mark_actor(index);
  return ceil_picoseconds(actors_[index].lost);
}

void Overlap::transfer_begins(TransferId id, std::span<const int> actors) {
  moving_.resize(static_cast<std::size_t>(id.index) + 1);
  Moving& moving = moving_[id.index];
  for (const int index : actors) {
    Actor& actor = actors_[index];
    moving.factor = std::max(moving.factor, costs_.interference(index).communication);
    moving.disturbers += actor.overlapped ? 1 : 0;
    actor.transfers.push_back(id.index);
    mark_actor(index);
  }
  mark_transfer(id.index);
}

void Overlap::transfer_ends(TransferId id, std::span<const int> actors) {
  for (const int index : actors) {
    std::erase(actors_[index].transfers, id.index);
    mark_actor(index);
  }
  moving_[id.index].disturbers = 0;
}

void Overlap::settle(Instant now, Network& network, const OnEnd& ends) {
  for (const int index : changed_actors_) change_overlap(index, now, ends);
  changed_actors_.clear();
  for (const int id : changed_transfers_) {
    Moving& moving = moving_[id];
    moving.changed = false;
    const bool disturbed = moving.disturbers > 0;
    if (disturbed == moving.disturbed) continue;
    moving.disturbed = disturbed;
    if (moving.factor > 1) network.slow({id}, disturbed ? moving.factor : 1, now);
  }
  changed_transfers_.clear();
}

void Overlap::change_overlap(int index, Instant now, const OnEnd& ends) {
  Actor& actor = actors_[index];
  actor.changed = false;
  const bool overlapped = actor.op >= 0 && !actor.transfers.empty();
  if (overlapped != actor.overlapped)
    for (const int id : actor.transfers) {
      moving_[id].disturbers += overlapped ? 1 : -1;
      mark_transfer(id);
    }
  actor.overlapped = overlapped;
  const double slowdown = overlapped ? costs_.interference(index).compute : 1;
  if (actor.op >= 0 && slowdown != actor.slowdown) change_pace(index, slowdown, now, ends);
}

// An end that has come stays.
void Overlap::change_pace(int index, double slowdown, Instant now, const OnEnd& ends) {
  Actor& actor = actors_[index];
  work_until(index, now);
  actor.slowdown = slowdown;
  if (actor.end && *actor.end <= now) return;
  // An estimate until the overlap ends: event time may end before it does.
  constexpr Seconds longest{9e6};
  const Seconds left = std::min(slowdown * actor.left, longest);
  actor.end = costs_.speed(index).end_of(now, ceil_picoseconds(left));
  ends(index, actor.op, actor.end);
}

void Overlap::work_until(int index, Instant now) {
  Actor& actor = actors_[index];
  const SpeedCourse& speed = costs_.speed(index);
  const double part = 1 / actor.slowdown;
  const Picoseconds still = speed.standing_still(actor.since, now);
  actor.lost = actor.lost + (1 - part) * in_seconds((now - actor.since) - still);
  actor.left = std::max(Seconds{}, actor.left - part * speed.work_within(actor.since, now));
  actor.since = now;
}

}  // namespace railwright::emulator
