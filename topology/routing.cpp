#include "topology/routing.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <optional>

#include "topology/routing/clos_routes.hpp"
#include "topology/routing/distance_field.hpp"
#include "topology/routing/moves.hpp"
#include "topology/routing/walk.hpp"
#include "topology/shapes/names.hpp"

namespace railwright::topology {

namespace {

// Where an accelerator sits.
struct Seat {
  AcceleratorId accelerator;
  int group = 0;
  int node = 0;   // in the group
  int local = 0;  // in the node

  bool operator==(const Seat&) const = default;
  bool same_node(const Seat& other) const { return group == other.group && node == other.node; }
};

// An explicit link that only adds lanes to a link of a shape leaves the closed forms true.
bool links_change_paths(const Cluster& cluster, const Layout& layout) {
  const Graph& graph = cluster.graph;
  const VertexNames names(cluster.spec, layout);
  std::map<int, int> written;  // lanes of the cluster file, per link
  for (const ExplicitLink& link : cluster.spec.links)
    written[graph.link_between(*names.find(link.from), *names.find(link.to))->index] += link.lanes;
  return std::any_of(written.begin(), written.end(), [&](const auto& entry) {
    const auto lanes = graph.lanes.find(entry.first);
    return lanes == graph.lanes.end() || lanes->second == entry.second;
  });
}

}  // namespace

struct Router::State {
  const Cluster& cluster;
  Layout layout;
  bool closed_form;
  std::vector<std::optional<ClosRoutes>> clos;  // per network: where it is one, and nothing else
  int bundles;
  std::vector<char> dead;                // per bundle: one of its links is; empty: none is
  std::optional<DistanceFields> fields;  // made when first needed
  Trace trace;                           // for between()
  Moves moves;

  State(const Cluster& c, const std::vector<LinkId>& dead_links)
      : cluster(c),
        layout(layout_of(c.spec).value()),
        closed_form(!links_change_paths(c, layout)),
        bundles(c.graph.links()),
        moves(cluster, layout, clos, closed_form) {
    find_clos();
    if (!dead_links.empty()) note_dead(dead_links);
  }
  void find_clos();
  void note_dead(const std::vector<LinkId>& links);
  std::size_t network_of(BundleId bundle) const;  // of several links
  const ClosRoutes& routes_with(BundleId bundle) const { return *clos[network_of(bundle)]; }
  Seconds latency_of(const BundleShare& part) const;
  bool crosses_dead(const std::vector<BundleShare>& parts) const {
    return std::ranges::any_of(parts,
                               [&](const BundleShare& part) { return dead[part.bundle.index]; });
  }

  Seat seat_of(AcceleratorId a) const;
  int endpoint_of(const NetworkLayout& network, const Seat& seat) const;
  const NetworkLayout* common_network(const Seat& source, const Seat& target) const;
  Seat proxy_of(const Seat& source, const Seat& target, const NetworkLayout& network) const;
  VertexId vertex_of(const Seat& seat) const;
  void climb(const Seat& seat, bool up, const Walk& walk, std::vector<BundleShare>& parts) const;

  void inside_node(const Seat& source, const Seat& target, Walk& walk,
                   std::vector<BundleShare>& parts) const;
  void over_network(const NetworkLayout& network, const Seat& source, const Seat& target,
                    Walk& walk, std::vector<BundleShare>& parts) const;
  // These two say whether anything leads there.
  bool over_graph(const Seat& source, const Seat& target, Walk& walk,
                  std::vector<BundleShare>& parts);
  bool collect(const Seat& source, const Seat& target, Walk& walk, std::vector<BundleShare>& parts);
};

void Router::State::find_clos() {
  for (const NetworkLayout& network : layout.networks) {
    clos.emplace_back();
    if (!closed_form || !std::holds_alternative<Clos>(network.fabric)) continue;
    clos.back().emplace(cluster.graph, network, layout.networks.size() == 1,
                        cluster.spec.routing.mode, bundles);
    bundles = clos.back()->end_bundle();
  }
}

void Router::State::note_dead(const std::vector<LinkId>& links) {
  dead.assign(static_cast<std::size_t>(bundles), 0);
  for (const LinkId link : links) dead[link.index] = 1;
  std::vector<LinkId> held;
  for (int bundle = cluster.graph.links(); bundle < bundles; ++bundle) {
    held.clear();
    routes_with({bundle}).append_links_of({bundle}, held);
    dead[bundle] = std::ranges::any_of(held, [&](LinkId link) { return dead[link.index] != 0; });
  }
}

std::size_t Router::State::network_of(BundleId bundle) const {
  for (std::size_t n = 0; n < clos.size(); ++n)
    if (clos[n] && bundle.index < clos[n]->end_bundle()) return n;
  assert(false && "no such bundle");
  return 0;
}

Seconds Router::State::latency_of(const BundleShare& part) const {
  const Graph& graph = cluster.graph;
  if (part.bundle.index < graph.links())
    return part.share * graph.class_of(LinkId{part.bundle.index}).latency;
  return routes_with(part.bundle).latency_of(part.bundle);
}

Seat Router::State::seat_of(AcceleratorId a) const {
  const int group = cluster.group_of(a);
  const GroupLayout& place = layout.groups[group];
  const int offset = a.index - place.first_accelerator;
  return {a, group, offset / place.accelerators, offset % place.accelerators};
}

VertexId Router::State::vertex_of(const Seat& seat) const {
  const GroupLayout& place = layout.groups[seat.group];
  return {place.first_vertex + seat.node * place.accelerators + seat.local};
}

int Router::State::endpoint_of(const NetworkLayout& network, const Seat& seat) const {
  const GroupLayout& place = layout.groups[seat.group];
  return network.first_endpoint[seat.group] + seat.node * place.ends() + seat.local / place.sharing;
}

const NetworkLayout* Router::State::common_network(const Seat& source, const Seat& target) const {
  for (const NetworkLayout& network : layout.networks)
    if (network.first_endpoint[source.group] >= 0 && network.first_endpoint[target.group] >= 0)
      return &network;
  return nullptr;
}

// The accelerator of the source's node that is on the target's rail: the source itself when it is,
// or when the node has no links to get there.
Seat Router::State::proxy_of(const Seat& source, const Seat& target,
                             const NetworkLayout& network) const {
  const auto* clos = std::get_if<Clos>(&network.fabric);
  const GroupLayout& place = layout.groups[source.group];
  if (clos == nullptr || clos->rails == 1 || place.scale_up.empty()) return source;
  if (cluster.spec.routing.cross_rail != CrossRail::pxn || source.same_node(target)) return source;
  const int rail = target.local / layout.groups[target.group].sharing;
  if (source.local / place.sharing == rail) return source;
  Seat proxy = source;
  proxy.local = rail * place.sharing + source.local % place.sharing;
  proxy.accelerator.index += proxy.local - source.local;
  return proxy;
}

// Between an accelerator and its NIC, where it has one. Links of a vertex are sorted by target, so
// with those of the shapes alone the bridge is an accelerator's last neighbour, and a NIC's first;
// a bridge has its accelerators first and its NIC last.
void Router::State::climb(const Seat& seat, bool up, const Walk& walk,
                          std::vector<BundleShare>& parts) const {
  const GroupLayout& place = layout.groups[seat.group];
  if (place.nics == 0) return;
  const int number = seat.node * place.nics + seat.local / place.sharing;
  const VertexId path[] = {
      vertex_of(seat), {place.first_bridge + number}, {place.first_nic + number}};
  if (!closed_form) {
    for (const int i : {0, 1})
      up ? walk.step(path[i], path[i + 1], 1, parts) : walk.step(path[i + 1], path[i], 1, parts);
    return;
  }
  const std::vector<int>& first = cluster.graph.first_link;
  for (const int i : {0, 1})
    if (up)
      parts.push_back({{first[path[i].index + 1] - 1}, 1});
    else
      parts.push_back({{first[path[i + 1].index] + (i == 0 ? seat.local % place.sharing : 0)}, 1});
}

void Router::State::inside_node(const Seat& source, const Seat& target, Walk& walk,
                                std::vector<BundleShare>& parts) const {
  const GroupLayout& place = layout.groups[source.group];
  if (std::holds_alternative<Star>(place.scale_up.front())) {
    const VertexId hub{place.first_switch + source.node};
    if (!closed_form) {
      walk.step(vertex_of(source), hub, 1, parts);
      return walk.step(hub, vertex_of(target), 1, parts);
    }
    // The hub is the first vertex behind an accelerator, and leads to accelerators only.
    const std::vector<int>& first = cluster.graph.first_link;
    parts.push_back({{first[vertex_of(source).index]}, 1});
    return parts.push_back({{first[hub.index] + target.local}, 1});
  }
  const Placement placement = place.node_placement(source.node);
  const FabricSpace space(place.scale_up.front(), placement, target.local);
  walk.go(space, source.local, target.local, parts);
}

void Router::State::over_network(const NetworkLayout& network, const Seat& source,
                                 const Seat& target, Walk& walk,
                                 std::vector<BundleShare>& parts) const {
  const int from = endpoint_of(network, source), to = endpoint_of(network, target);
  if (from == to) {  // two accelerators of one NIC meet at its host bridge
    const GroupLayout& place = layout.groups[source.group];
    const VertexId bridge{place.first_bridge + source.node * place.nics +
                          source.local / place.sharing};
    walk.step(vertex_of(source), bridge, 1, parts);
    return walk.step(bridge, vertex_of(target), 1, parts);
  }
  climb(source, true, walk, parts);
  if (const auto& routes = clos[&network - layout.networks.data()])
    routes->add(from, to, walk.flow(), parts);
  else
    walk.go(FabricSpace(network.fabric, network.placement, to), from, to, parts);
  climb(target, false, walk, parts);
}

bool Router::State::over_graph(const Seat& source, const Seat& target, Walk& walk,
                               std::vector<BundleShare>& parts) {
  if (!fields) fields.emplace(cluster.graph, dead);
  const VertexId from = vertex_of(source), to = vertex_of(target);
  for (const bool forwarding : {false, true}) {
    const DistanceField& field = fields->towards(to, forwarding);
    if (field.hops[from.index] < 0) continue;
    const auto key = static_cast<std::uint64_t>(target.accelerator.index);
    walk.go(FieldSpace(cluster.graph, *fields, field, key), from.index, to.index, parts);
    return true;
  }
  return false;
}

bool Router::State::collect(const Seat& source, const Seat& target, Walk& walk,
                            std::vector<BundleShare>& parts) {
  if (source.same_node(target) && !layout.groups[source.group].scale_up.empty()) {
    inside_node(source, target, walk, parts);
    return true;
  }
  const NetworkLayout* network = common_network(source, target);
  if (network == nullptr) return over_graph(source, target, walk, parts);
  const Seat proxy = proxy_of(source, target, *network);
  if (!(proxy == source)) inside_node(source, proxy, walk, parts);
  if (!closed_form) return over_graph(proxy, target, walk, parts);
  over_network(*network, proxy, target, walk, parts);
  return true;
}

Router::Router(const Cluster& cluster, const std::vector<LinkId>& dead)
    : state_(std::make_unique<State>(cluster, dead)) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;

const Cluster& Router::cluster() const { return state_->cluster; }

Route Router::between(AcceleratorId source, AcceleratorId target, std::uint64_t flow) const {
  Trace& found = state_->trace;
  trace(source, target, flow, found);
  Route route;
  route.latency = found.latency;
  std::vector<LinkId> links;
  for (const BundleShare& part : found.parts) {
    links.clear();
    append_links_of(part.bundle, links);
    for (const LinkId link : links) route.links.push_back({link, part.share});
  }
  std::ranges::sort(route.links, {}, &LinkShare::link);
  return route;
}

void Router::trace(AcceleratorId source, AcceleratorId target, std::uint64_t flow,
                   Trace& trace) const {
  trace.parts.clear();
  trace.latency = {};
  if (source == target) return;
  const Routing& routing = state_->cluster.spec.routing;
  Walk walk(state_->cluster.graph, routing.mode,
            {routing.seed, static_cast<std::uint64_t>(source.index),
             static_cast<std::uint64_t>(target.index), flow});
  const Seat from = state_->seat_of(source), to = state_->seat_of(target);
  const bool led = state_->collect(from, to, walk, trace.parts);
  if (!state_->dead.empty() && (!led || state_->crosses_dead(trace.parts))) {
    trace.parts.clear();
    state_->over_graph(from, to, walk, trace.parts);
  }
  for (const BundleShare& part : trace.parts) trace.latency += state_->latency_of(part);
}

int Router::bundles() const { return state_->bundles; }

bool Router::is_link(BundleId bundle) const { return bundle.index < state_->cluster.graph.links(); }

int Router::size_of(BundleId bundle) const {
  return is_link(bundle) ? 1 : state_->routes_with(bundle).size_of(bundle);
}

LinkId Router::first_of(BundleId bundle) const {
  if (is_link(bundle)) return {bundle.index};
  return state_->routes_with(bundle).first_of(bundle);
}

void Router::append_links_of(BundleId bundle, std::vector<LinkId>& links) const {
  if (is_link(bundle)) return links.push_back({bundle.index});
  state_->routes_with(bundle).append_links_of(bundle, links);
}

std::optional<Move> Router::move_between(std::span<const AcceleratorId> from,
                                         std::span<const AcceleratorId> to) const {
  const State& state = *state_;
  if (!state.dead.empty()) return {};
  return state.moves.between(from, to);
}

BundleId Router::moved(BundleId bundle, const Move& move) const {
  if (is_link(bundle)) return {state_->moves.moved(LinkId{bundle.index}, move).index};
  const std::size_t network = state_->network_of(bundle);
  return state_->clos[network]->moved(bundle, move.networks[network]);
}

int Router::period() const { return state_->dead.empty() ? state_->moves.period() : 0; }

int Router::period_of(BundleId bundle) const {
  const Moves& moves = state_->moves;
  if (is_link(bundle)) return moves.period_of(LinkId{bundle.index});
  return state_->clos.front()->period_of(bundle, moves.shift_of_period());
}

BundleId Router::in_period(BundleId bundle, int period) const {
  const int on = period - period_of(bundle);
  return on == 0 ? bundle : moved(bundle, state_->moves.by_periods(on));
}

}  // namespace railwright::topology
