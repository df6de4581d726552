#include "emulator/network.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/end_queue.hpp"
#include "emulator/filling.hpp"

namespace railwright::emulator {
namespace {

using topology::LinkId;

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
// Re-solving in another order moves the last bits of a rate; such a change is none.
constexpr double same_rate = 1e-13;

// A transfer's use of one link, and where the link lists it.
struct Use {
  int link;  // index into State::links
  double per_rate;
  int place;  // in the link's members
};

struct Flow {
  int id = -1;
  double bytes = 0, moved = 0;  // moved: until `updated`
  double share = 1, cap = 0;
  double rate = 0;
  int limiting = -1;
  bool solved = false;
  Instant updated, piece_start;
  std::int64_t end = never;
  std::vector<Use> uses;
  int mark = 0;
};

struct Member {
  int flow;
  int use;  // index into the flow's uses
};

// A link that has been used: most links of a large cluster never are.
struct UsedLink {
  int id = -1;
  double capacity = 0, factor = 1;
  double bytes = 0;  // of transfers that ended
  std::int64_t busy = 0, busy_since = 0;
  std::vector<Member> members;
  int mark = 0, local = 0;  // local: index in the component that is being solved
  bool changed = false;
};

double elapsed_seconds(Instant from, Instant to) { return in_seconds(to - from).value; }

}  // namespace

struct Network::State {
  const topology::Graph* graph = nullptr;
  const topology::Calibration* calibration = nullptr;
  bool raw = false;
  Instant now;
  std::vector<double> class_efficiency;  // negative: not asked yet
  std::vector<int> index_of_link;        // into links; -1: never used
  std::vector<UsedLink> links;
  std::vector<Flow> flows;
  std::vector<int> free_flows;
  std::vector<int> flow_of;  // transfer id -> flow; -1: ended
  std::vector<std::vector<Piece>> pieces;
  std::vector<int> changed_links, new_flows;
  EndQueue ends;
  Filling filling;
  std::vector<int> component;  // flows
  int mark = 0;
  std::int64_t solves = 0;

  double effective_capacity(LinkId link);
  int index_of(LinkId link);
  int free_flow();
  void attach(int f, const topology::LinkShare& load);
  void detach(int f);
  void touch(int link);
  void move_clock(Instant to);
  void settle();
  void collect(int f);
  void reach(int link);
  void solve_component();
  void apply(Flow& flow, double rate, int limiting);
  void cut_piece(Flow& flow);
  void schedule_end(int f);
  void finish(int f);
  double moved_by(const Flow& flow) const;
  System current_system() const;
};

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
    if (link.members.empty())
      link.busy += now.picoseconds - link.busy_since;
    else
      touch(use.link);
  }
  flow.uses.clear();
}

void Network::State::touch(int link) {
  if (links[link].changed) return;
  links[link].changed = true;
  changed_links.push_back(link);
}

void Network::State::move_clock(Instant to) {
  assert(to >= now && "time never goes back");
  if (to == now) return;
  settle();
  assert((ends.empty() || ends.first_end() >= to.picoseconds) && "an end was passed over");
  now = to;
}

// Every transfer that shares links with a change, directly or through others, is solved anew.
void Network::State::settle() {
  if (changed_links.empty() && new_flows.empty()) return;
  ++mark;
  for (const int f : new_flows)
    if (flows[f].mark != mark) {
      collect(f);
      solve_component();
    }
  for (const int l : changed_links) {
    links[l].changed = false;
    if (links[l].mark == mark || links[l].members.empty()) continue;
    collect(links[l].members.front().flow);
    solve_component();
  }
  new_flows.clear();
  changed_links.clear();
}

void Network::State::collect(int f) {
  component.clear();
  filling.clear();
  flows[f].mark = mark;
  component.push_back(f);
  for (std::size_t i = 0; i < component.size(); ++i)
    for (const Use& use : flows[component[i]].uses) reach(use.link);
}

void Network::State::reach(int l) {
  UsedLink& link = links[l];
  if (link.mark == mark) return;
  link.mark = mark;
  link.local = filling.add_link(link.capacity * link.factor, link.id);
  for (const Member& member : link.members)
    if (flows[member.flow].mark != mark) {
      flows[member.flow].mark = mark;
      component.push_back(member.flow);
    }
}

void Network::State::solve_component() {
  for (const int f : component) {
    filling.add_variable(flows[f].share, flows[f].cap);
    for (const Use& use : flows[f].uses)
      filling.add_consumption(links[use.link].local, use.per_rate);
  }
  filling.solve();
  ++solves;
  for (std::size_t v = 0; v < component.size(); ++v) {
    const int limiting = filling.limiting(static_cast<int>(v));
    apply(flows[component[v]], filling.rate(static_cast<int>(v)),
          limiting < 0 ? -1 : filling.label(limiting));
    schedule_end(component[v]);
  }
}

void Network::State::apply(Flow& flow, double rate, int limiting) {
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
  if (left == 0 || std::isinf(rate))
    flow.end = now.picoseconds;
  else
    flow.end = std::isinf(left) ? never : (now + ceil_picoseconds({left / rate})).picoseconds;
}

void Network::State::cut_piece(Flow& flow) {
  if (flow.piece_start == now) return;
  pieces[flow.id].push_back({now, {flow.limiting}});
  flow.piece_start = now;
}

void Network::State::schedule_end(int f) {
  if (flows[f].end != never) ends.set(f, flows[f].end);
}

void Network::State::finish(int f) {
  cut_piece(flows[f]);
  flow_of[flows[f].id] = -1;
  detach(f);
  ends.remove(f);
  free_flows.push_back(f);
}

double Network::State::moved_by(const Flow& flow) const {
  if (flow.updated == now) return flow.moved;
  return std::min(flow.bytes, flow.moved + flow.rate * elapsed_seconds(flow.updated, now));
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
  state.new_flows.push_back(f);
  return {id};
}

void Network::scale_capacity(LinkId link, double factor, Instant now) {
  assert(factor > 0);
  state_->move_clock(now);
  const int l = state_->index_of(link);
  state_->links[l].factor = factor;
  state_->touch(l);
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
  LinkUse use{used.bytes, 0};
  for (const Member& member : used.members) {
    const Flow& flow = state_->flows[member.flow];
    use.bytes += flow.uses[member.use].per_rate * state_->moved_by(flow);
  }
  const std::int64_t open = used.members.empty() ? 0 : state_->now.picoseconds - used.busy_since;
  use.busy_seconds = in_seconds({used.busy + open}).value;
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
