// How rates follow a change. Only a region around it is solved, everybody else keeps their rate:
// first those whom the change concerns at first hand; then, as long as the answer is not the
// max-min allocation of all, whoever stands in its way joins. The certificate tells when to stop,
// and the allocation that carries it is unique: the result is that of a full solve.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/network_state.hpp"

namespace railwright::emulator {
namespace {

// Solving in another order moves the last bits of a rate; such a change is none.
constexpr double same_rate = 1e-13;

}  // namespace

void Network::State::concern(int f) {
  if (flows[f].pending) return;
  flows[f].pending = true;
  pending.push_back(f);
}

void Network::State::concern_limited_by(int link) {
  for (const Member& member : links[link].members)
    if (flows[member.flow].solved && flows[member.flow].limiting == links[link].id)
      concern(member.flow);
}

void Network::State::concern_all_on(int link) {
  for (const Member& member : links[link].members) concern(member.flow);
}

void Network::State::settle() {
  if (pending.empty()) return;
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (flows[pending[i]].pending) solve_region(pending[i]);
  pending.clear();
}

// When widening step by step has cost as much as solving everything, everything is solved.
void Network::State::solve_region(int seed) {
  ++mark;
  region.clear();
  region_links.clear();
  join_region(seed);
  const std::size_t active = flows.size() - free_flows.size();
  std::size_t work = region.size();
  solve_once();
  while (widen_region()) {
    work += region.size();
    if (work > active) flood_region();
    solve_once();
  }
  apply_region();
}

// With a flow come its links, and with them whoever else is waiting for a new rate there.
void Network::State::join_region(int f) {
  const auto join = [&](int flow) {
    flows[flow].pending = false;
    flows[flow].mark = mark;
    region.push_back(flow);
  };
  std::size_t next = region.size();
  for (join(f); next < region.size(); ++next)
    for (const Use& use : flows[region[next]].uses) {
      if (links[use.link].mark == mark) continue;
      links[use.link].mark = mark;
      region_links.push_back(use.link);
      for (const Member& member : links[use.link].members)
        if (flows[member.flow].pending) join(member.flow);
    }
}

void Network::State::solve_once() {
  filling.clear();
  for (const int l : region_links) {
    const UsedLink& link = links[l];
    double used = 0, top = 0;
    for (const Member& member : link.members) {
      const Flow& flow = flows[member.flow];
      if (flow.mark == mark) continue;
      used += flow.uses[member.use].per_rate * flow.rate;
      top = std::max(top, flow.level());
    }
    links[l].local = filling.add_link(link.capacity * link.factor, link.id, used, top);
  }
  for (const int f : region) {
    filling.add_variable(flows[f].share, flows[f].cap);
    for (const Use& use : flows[f].uses)
      filling.add_consumption(links[use.link].local, use.per_rate);
  }
  filling.solve();
  ++solves;
}

// Whoever outside the region stands in the way of the max-min allocation joins; false: nobody does.
bool Network::State::widen_region() {
  contested_level.assign(region_links.size(), std::numeric_limits<double>::infinity());
  for (std::size_t v = 0; v < region.size(); ++v) {
    const int variable = static_cast<int>(v);
    if (!filling.contested(variable)) continue;
    double& lowest = contested_level[filling.limiting(variable)];
    lowest = std::min(lowest, filling.rate(variable) / flows[region[v]].share);
  }
  renamed.clear();
  bool wider = false;
  const int count = static_cast<int>(region_links.size());
  for (int i = 0; i < count; ++i) wider |= widen_at(i);
  return wider;
}

bool Network::State::widen_at(int i) {
  const UsedLink& link = links[region_links[i]];
  const bool saturated = filling.saturated(i);
  bool wider = false;
  for (const Member& member : link.members) {
    const Flow& flow = flows[member.flow];
    if (flow.mark == mark) continue;
    const double level = flow.level();
    const bool binds = saturated && level >= filling.level(i) * (1 - Filling::tie);
    const bool takes_too_much = level > contested_level[i] * (1 + Filling::tie);
    if (takes_too_much || (flow.limiting == link.id && !binds)) {
      join_region(member.flow);
      wider = true;
    } else if (binds && (flow.limiting < 0 || link.id < flow.limiting)) {
      renamed.push_back({member.flow, link.id});
    }
  }
  return wider;
}

void Network::State::flood_region() {
  for (std::size_t i = 0; i < region_links.size(); ++i)
    for (const Member& member : links[region_links[i]].members)
      if (flows[member.flow].mark != mark) join_region(member.flow);
}

void Network::State::apply_region() {
  for (std::size_t v = 0; v < region.size(); ++v) {
    const int variable = static_cast<int>(v), limiting = filling.limiting(variable);
    apply(region[v], filling.rate(variable), limiting < 0 ? -1 : filling.label(limiting));
  }
  for (const auto& [f, limiting] : renamed)
    if (flows[f].limiting < 0 || limiting < flows[f].limiting) apply(f, flows[f].rate, limiting);
}

void Network::State::apply(int f, double rate, int limiting) {
  assert(rate > 0);
  Flow& flow = flows[f];
  if (flow.solved && limiting != flow.limiting) cut_piece(flow);
  flow.limiting = limiting;
  if (flow.solved && std::abs(rate - flow.rate) <= same_rate * flow.rate) return;
  flow.moved = moved_by(flow);
  flow.updated = now;
  flow.rate = rate;
  // An end that has come stays, whatever rounding says is left to move.
  if (flow.solved && flow.end == now.picoseconds) return;
  flow.solved = true;
  const double left = std::max(0.0, flow.bytes - flow.moved);
  if (std::isinf(left)) return;
  const bool at_once = left == 0 || std::isinf(rate);
  if (!at_once && left / rate > in_seconds(latest_end - now).value) {
    flow.end = never;
    ends.remove(f);
    return;
  }
  flow.end = (at_once ? now : now + ceil_picoseconds({left / rate})).picoseconds;
  ends.set(f, flow.end);
}

}  // namespace railwright::emulator
