#include "emulator/network.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "emulator/network/network_state.hpp"

namespace railwright::emulator {

using topology::LinkId;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int ended_flow = -1, immediate_flow = -2;

}  // namespace

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
  int index = index_of_link.of(link);
  if (index < 0) {
    const double capacity = effective_capacity(link);
    index = levels.add_link(capacity, link.index);
    index_of_link.set(link, index);
    links.resize(index + 1);  // caps may lie between
    links[index].id = link.index;
    links[index].capacity = capacity;
  }
  return index;
}

void Network::State::attach(int id, const Transfer& transfer) {
  loads.clear();
  for (const topology::LinkShare& load : transfer.consumption) {
    const int l = index_of(load.link);
    if (levels.flows_on(l) == 0) links[l].busy_since = now.picoseconds;
    loads.push_back({l, load.share});
  }
  const int f = levels.add_flow(transfer.share, transfer.cap, loads);
  if (f >= static_cast<int>(flows.size())) flows.resize(f + 1);
  flows[f] = {id, -1, now, transfer.count, 1};
  flow_of[id] = f;
  clocks.open(f, transfer.bytes, transfer.share);
  unsettled = true;
}

void Network::State::move_clock(Instant to) {
  assert(to >= now && "time never goes back");
  if (to == now) return;
  settle();
  assert(at_once.empty() && (clocks.none_ends() || clocks.first_end() >= to.picoseconds) &&
         "an end was passed over");
  now = to;
}

// Clocks stop at `now` before flows go from one to another: all read what has been until now.
void Network::State::settle() {
  if (!unsettled) return;
  unsettled = false;
  levels.settle();
  for (const int l : levels.changed_links()) clocks.set_level(l, levels.level(l), now);
  for (const int f : levels.relimited_flows()) relimit(f);
  clocks.refresh();
}

void Network::State::relimit(int f) {
  Flow& flow = flows[f];
  const int limiting = levels.limiting(f);
  if (levels.is_cap(limiting)) clocks.set_level(limiting, levels.level(limiting), now);
  if (flow.limiting >= 0) {
    cut_piece(flow);
    flow.piece_start = now;
    clocks.leave(f, now);
  }
  flow.limiting = limiting;
  clocks.join(f, limiting, now);
}

void Network::State::cut_piece(const Flow& flow) {
  if (flow.piece_start == now) return;
  int link = -1;
  if (!levels.is_cap(flow.limiting)) {
    UsedLink& limiting = links[flow.limiting];
    const Seconds time = in_seconds({now.picoseconds - flow.piece_start.picoseconds});
    limiting.limiting_seconds += static_cast<double>(flow.count) * time.value / flow.slowdown;
    link = limiting.id;
  }
  int place = free_piece;
  if (place < 0) {
    place = static_cast<int>(pieces.size());
    pieces.emplace_back();
  } else {
    free_piece = pieces[place].before;
  }
  pieces[place] = {{now, {link}, static_cast<float>(flow.slowdown)}, last_piece[flow.id]};
  last_piece[flow.id] = place;
}

void Network::State::forget(int id) {
  while (last_piece[id] >= 0) {
    int& before = pieces[last_piece[id]].before;
    const int next = std::exchange(before, free_piece);
    free_piece = std::exchange(last_piece[id], next);
  }
}

void Network::State::finish(int f) {
  const Flow& flow = flows[f];
  cut_piece(flow);
  const double bytes = clocks.moved(f, now);
  flow_of[flow.id] = ended_flow;
  levels.for_uses(f, [&](int l, double per_rate) {
    links[l].bytes += per_rate * bytes;
    if (levels.flows_on(l) == 1) links[l].busy += now.picoseconds - links[l].busy_since;
  });
  levels.remove_flow(f);
  unsettled = true;
}

System Network::State::current_system() const {
  System system;
  std::vector<double>& capacity = system.capacity;
  for (const UsedLink& link : links)
    capacity.push_back(link.id < 0 ? 1 : link.capacity * link.factor);
  for (const int f : flow_of) {
    if (f < 0) continue;
    Variable variable{{}, levels.share(f), levels.cap(f)};
    levels.for_uses(f, [&](int l, double per_rate) {
      variable.consumption.push_back({l, per_rate});
    });
    system.variables.push_back(std::move(variable));
  }
  return system;
}

Network::Network(const topology::Graph& graph, const topology::Calibration& calibration, bool raw)
    : state_(std::make_unique<State>(graph.links())) {
  state_->graph = &graph;
  state_->calibration = &calibration;
  state_->raw = raw;
  state_->class_efficiency.assign(graph.classes.size(), -1);
}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;

TransferId Network::start(const Transfer& transfer, Instant now) {
  assert(transfer.bytes >= 0 && transfer.share > 0 && transfer.cap > 0);
  State& state = *state_;
  state.move_clock(now);
  const int id = static_cast<int>(state.flow_of.size());
  state.flow_of.push_back(immediate_flow);
  state.last_piece.push_back(-1);
  const bool limited = !transfer.consumption.empty() || std::isfinite(transfer.cap);
  if (transfer.bytes > 0 && limited)
    state.attach(id, transfer);
  else if (std::isfinite(transfer.bytes))
    state.at_once.push_back(id);
  return {id};
}

double Network::stop(TransferId id, Instant now) {
  State& state = *state_;
  state.move_clock(now);
  state.settle();
  const int f = state.flow_of[id.index];
  assert(f >= 0 && "the transfer is not in flight");
  state.clocks.leave(f, now);
  const double left = state.clocks.bytes(f) - state.clocks.moved(f, now);
  state.finish(f);
  return left;
}

void Network::slow(TransferId id, double factor, Instant now) {
  assert(factor >= 1);
  State& state = *state_;
  state.move_clock(now);
  const int f = state.flow_of[id.index];
  if (f < 0) return;
  Flow& flow = state.flows[f];
  if (flow.limiting >= 0) {
    state.cut_piece(flow);
    flow.piece_start = now;
  }
  flow.slowdown = factor;
  state.clocks.set_share(f, state.levels.share(f) / factor, now);
  state.unsettled = true;
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
  state_->levels.set_capacity(l, used.capacity * factor);
  state_->unsettled = true;
}

std::optional<Instant> Network::next_end() const {
  state_->settle();
  if (!state_->at_once.empty()) return state_->now;
  if (state_->clocks.none_ends()) return std::nullopt;
  return Instant{state_->clocks.first_end()};
}

const std::vector<TransferId>& Network::advance_to(Instant now) {
  State& state = *state_;
  state.move_clock(now);
  state.settle();
  std::vector<TransferId>& ended = state.ended_ids;
  ended.clear();
  for (const int id : state.at_once) {
    state.flow_of[id] = ended_flow;
    ended.push_back({id});
  }
  state.at_once.clear();
  state.ended.clear();
  state.clocks.take_ended(now, state.ended);
  for (const int f : state.ended) {
    ended.push_back({state.flows[f].id});
    state.finish(f);
  }
  std::sort(ended.begin(), ended.end());
  return ended;
}

void Network::pass_until(Instant now) { state_->move_clock(now); }

double Network::rate(TransferId id) const {
  state_->settle();
  const int f = state_->flow_of[id.index];
  if (f == immediate_flow) return infinity;
  return f == ended_flow ? 0 : state_->levels.flow_level(f) * state_->levels.share(f);
}

std::vector<Piece> Network::pieces(TransferId id) const {
  assert(state_->flow_of[id.index] == ended_flow && "the transfer is in flight");
  std::vector<Piece> pieces;
  for (int at = state_->last_piece[id.index]; at >= 0; at = state_->pieces[at].before)
    pieces.push_back(state_->pieces[at].piece);
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

void Network::forget(TransferId id) {
  assert(state_->flow_of[id.index] == ended_flow && "the transfer is in flight");
  state_->forget(id.index);
}

LinkUse Network::use_of(LinkId link) const {
  state_->settle();
  const int l = state_->index_of_link.of(link);
  if (l < 0) return {};
  const UsedLink& used = state_->links[l];
  LinkUse use{used.bytes, 0, used.offered, used.limiting_seconds};
  state_->levels.for_flows(l, [&](int flow, double per_rate) {
    use.bytes += per_rate * state_->clocks.moved(flow, state_->now);
  });
  const bool busy = state_->levels.flows_on(l) > 0;
  const std::int64_t open = busy ? state_->now.picoseconds - used.busy_since : 0;
  use.busy_seconds = in_seconds({used.busy + open}).value;
  const std::int64_t steady = state_->now.picoseconds - used.factor_since;
  use.offered_bytes += used.capacity * used.factor * in_seconds({steady}).value;
  return use;
}

std::vector<LinkId> Network::used_links() const {
  std::vector<LinkId> used;
  for (const UsedLink& link : state_->links)
    if (link.id >= 0) used.push_back({link.id});
  std::sort(used.begin(), used.end());
  return used;
}

double Network::capacity_of(LinkId link) const {
  const int l = state_->index_of_link.of(link);
  if (l < 0) return state_->effective_capacity(link);
  return state_->links[l].capacity * state_->links[l].factor;
}

std::int64_t Network::solves() const { return state_->levels.evaluations(); }

std::string Network::violation() const {
  state_->settle();
  Allocation allocation;
  for (const int f : state_->flow_of) {
    if (f < 0) continue;
    const int limiting = state_->levels.limiting(f);
    allocation.rate.push_back(state_->levels.flow_level(f) * state_->levels.share(f));
    allocation.limiting_link.push_back(state_->levels.is_cap(limiting) ? -1 : limiting);
  }
  return certificate_violation(state_->current_system(), allocation);
}

}  // namespace railwright::emulator
