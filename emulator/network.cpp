#include "emulator/network.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/network_state.hpp"

namespace railwright::emulator {

using topology::LinkId;

double Network::State::effective_capacity(LinkId link) {
  const double line_rate = graph->capacity(link).bytes_per_second;
  if (raw) return line_rate;
  double& efficiency = class_efficiency[graph->link_class[link.index]];
  if (efficiency < 0)
    efficiency =
        topology::effective_capacity(*graph, link, *calibration).bytes_per_second / line_rate;
  return line_rate * efficiency;
}

int Network::State::index_of(LinkId link) {
  int& index = index_of_link[link.index];
  if (index < 0) {
    index = static_cast<int>(links.size());
    links.push_back({});
    links.back().id = link.index;
    links.back().capacity = effective_capacity(link);
  }
  return index;
}

int Network::State::free_flow() {
  if (free_flows.empty()) {
    flows.emplace_back();
    return static_cast<int>(flows.size()) - 1;
  }
  const int f = free_flows.back();
  free_flows.pop_back();
  return f;
}

void Network::State::attach(int f, const topology::LinkShare& load) {
  const int l = index_of(load.link);
  UsedLink& link = links[l];
  if (link.members.empty()) link.busy_since = now.picoseconds;
  Flow& flow = flows[f];
  flow.uses.push_back({l, load.share, static_cast<int>(link.members.size())});
  link.members.push_back({f, static_cast<int>(flow.uses.size()) - 1});
}

void Network::State::detach(int f) {
  Flow& flow = flows[f];
  for (const Use& use : flow.uses) {
    UsedLink& link = links[use.link];
    const Member last = link.members.back();
    link.members[use.place] = last;
    flows[last.flow].uses[last.use].place = use.place;
    link.members.pop_back();
    link.bytes += use.per_rate * flow.bytes;
    if (link.members.empty()) link.busy += now.picoseconds - link.busy_since;
    concern_limited_by(use.link);
  }
  flow.uses.clear();
}

void Network::State::move_clock(Instant to) {
  assert(to >= now && "time never goes back");
  if (to == now) return;
  settle();
  assert((ends.empty() || ends.first_end() >= to.picoseconds) && "an end was passed over");
  now = to;
}

void Network::State::cut_piece(Flow& flow) {
  if (flow.piece_start == now) return;
  pieces[flow.id].push_back({now, {flow.limiting}});
  flow.piece_start = now;
}

void Network::State::finish(int f) {
  cut_piece(flows[f]);
  flows[f].pending = false;
  flow_of[flows[f].id] = -1;
  detach(f);
  ends.remove(f);
  free_flows.push_back(f);
}

double Network::State::moved_by(const Flow& flow) const {
  if (flow.updated == now) return flow.moved;
  return std::min(flow.bytes, flow.moved + flow.rate * in_seconds(now - flow.updated).value);
}

System Network::State::current_system() const {
  System system;
  for (const UsedLink& link : links) system.capacity.push_back(link.capacity * link.factor);
  for (const int f : flow_of) {
    if (f < 0) continue;
    Variable variable{{}, flows[f].share, flows[f].cap};
    for (const Use& use : flows[f].uses) variable.consumption.push_back({use.link, use.per_rate});
    system.variables.push_back(std::move(variable));
  }
  return system;
}

Network::Network(const topology::Graph& graph, const topology::Calibration& calibration, bool raw)
    : state_(std::make_unique<State>()) {
  state_->graph = &graph;
  state_->calibration = &calibration;
  state_->raw = raw;
  state_->class_efficiency.assign(graph.classes.size(), -1);
  state_->index_of_link.assign(graph.links(), -1);
}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;

TransferId Network::start(Transfer transfer, Instant now) {
  assert(transfer.bytes >= 0 && transfer.share > 0 && transfer.cap > 0);
  State& state = *state_;
  state.move_clock(now);
  const int id = static_cast<int>(state.flow_of.size());
  const int f = state.free_flow();
  state.flow_of.push_back(f);
  state.pieces.emplace_back();
  Flow& flow = state.flows[f];
  flow = {.id = id,
          .bytes = transfer.bytes,
          .share = transfer.share,
          .cap = transfer.cap,
          .updated = now,
          .piece_start = now,
          .uses = std::move(flow.uses)};
  if (transfer.bytes > 0)
    for (const topology::LinkShare& load : transfer.consumption) state.attach(f, load);
  for (const Use& use : flow.uses) state.concern_limited_by(use.link);
  state.concern(f);
  return {id};
}

void Network::scale_capacity(LinkId link, double factor, Instant now) {
  assert(factor > 0);
  state_->move_clock(now);
  const int l = state_->index_of(link);
  UsedLink& used = state_->links[l];
  used.offered +=
      used.capacity * used.factor * in_seconds({now.picoseconds - used.factor_since}).value;
  used.factor_since = now.picoseconds;
  used.factor = factor;
  state_->concern_all_on(l);
}

std::optional<Instant> Network::next_end() const {
  state_->settle();
  if (state_->ends.empty()) return std::nullopt;
  return Instant{state_->ends.first_end()};
}

std::vector<TransferId> Network::advance_to(Instant now) {
  State& state = *state_;
  state.move_clock(now);
  state.settle();
  std::vector<TransferId> ended;
  while (!state.ends.empty() && state.ends.first_end() == now.picoseconds) {
    const int f = state.ends.first_key();
    ended.push_back({state.flows[f].id});
    state.finish(f);
  }
  std::sort(ended.begin(), ended.end());
  return ended;
}

double Network::rate(TransferId id) const {
  state_->settle();
  const int f = state_->flow_of[id.index];
  return f < 0 ? 0 : state_->flows[f].rate;
}

const std::vector<Piece>& Network::pieces(TransferId id) const {
  assert(state_->flow_of[id.index] < 0 && "the transfer is in flight");
  return state_->pieces[id.index];
}

void Network::forget(TransferId id) {
  assert(state_->flow_of[id.index] < 0 && "the transfer is in flight");
  std::vector<Piece>().swap(state_->pieces[id.index]);
}

LinkUse Network::use_of(LinkId link) const {
  state_->settle();
  const int l = state_->index_of_link[link.index];
  if (l < 0) return {};
  const UsedLink& used = state_->links[l];
  LinkUse use{used.bytes, 0, used.offered};
  for (const Member& member : used.members) {
    const Flow& flow = state_->flows[member.flow];
    use.bytes += flow.uses[member.use].per_rate * state_->moved_by(flow);
  }
  const std::int64_t open = used.members.empty() ? 0 : state_->now.picoseconds - used.busy_since;
  use.busy_seconds = in_seconds({used.busy + open}).value;
  const std::int64_t steady = state_->now.picoseconds - used.factor_since;
  use.offered_bytes += used.capacity * used.factor * in_seconds({steady}).value;
  return use;
}

std::vector<LinkId> Network::used_links() const {
  std::vector<LinkId> used;
  for (const UsedLink& link : state_->links) used.push_back({link.id});
  std::sort(used.begin(), used.end());
  return used;
}

double Network::capacity_of(LinkId link) const {
  const int l = state_->index_of_link[link.index];
  if (l < 0) return state_->effective_capacity(link);
  return state_->links[l].capacity * state_->links[l].factor;
}

std::int64_t Network::solves() const { return state_->solves; }

std::string Network::violation() const {
  state_->settle();
  Allocation allocation;
  for (const int f : state_->flow_of) {
    if (f < 0) continue;
    const int limiting = state_->flows[f].limiting;
    allocation.rate.push_back(state_->flows[f].rate);
    allocation.limiting_link.push_back(limiting < 0 ? -1 : state_->index_of_link[limiting]);
  }
  return certificate_violation(state_->current_system(), allocation);
}

}  // namespace railwright::emulator
