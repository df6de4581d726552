#include "collectives/ways.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "collectives/cost.hpp"
#include "collectives/maker.hpp"
#include "collectives/ways/switches.hpp"

namespace railwright::collectives {

using topology::AcceleratorId;
using topology::LinkId;
using topology::LinkShare;
using topology::Route;

namespace {

// Links ascending, as routes have them; their latencies follow one another.
Route route_along(const std::vector<LinkId>& links, const topology::Graph& graph) {
  Route route;
  for (const LinkId link : links) {
    route.links.push_back({link, 1});
    route.latency += graph.class_of(link).latency;
  }
  std::ranges::sort(route.links, {}, &LinkShare::link);
  return route;
}

// Of switch `index`, counted from 0.
SwitchTree tree_of(const Schedule& schedule, int index, SwitchSearch& search) {
  return search.nearest(maker_of(schedule).ranks_of_switch(schedule, index), index);
}

std::string no_switch(const Schedule& schedule, int index) {
  const std::vector<int> ranks = maker_of(schedule).ranks_of_switch(schedule, index);
  return fmt::format("{}: no switch that reduces joins {} ranks, of which the first are {} and {}",
                     to_string(schedule.algorithm), ranks.size(), ranks.front(),
                     ranks[ranks.size() > 1 ? 1 : 0]);
}

// Switches that reduce are found in networks, or they join the accelerators of one node.
bool networks_reduce(const topology::ClusterSpec& spec) {
  return std::ranges::any_of(spec.networks, &topology::NetworkSpec::reduces) ||
         std::ranges::any_of(spec.switches, &topology::SwitchSpec::reduces);
}

bool node_reduces(const std::vector<int>& ranks, const std::vector<AcceleratorId>& members,
                  const topology::Cluster& cluster) {
  const AcceleratorId first = members[ranks.front()];
  const auto beside = [&](int rank) {
    return cluster.node_of(members[rank]) == cluster.node_of(first);
  };
  return switches_reduce(cluster, cluster.spec.nodes[cluster.group_of(first)]) &&
         std::ranges::all_of(ranks, beside);
}

}  // namespace

struct Ways::State {
  const Schedule& schedule;
  const std::vector<AcceleratorId>& members;
  const topology::Router& router;
  Seconds software;
  std::vector<SwitchTree> trees;  // of each switch
  double nvls_efficiency = 1;

  const topology::Graph& graph() const { return router.cluster().graph; }
  void find_trees();
  double share_of_nvls(const SwitchTree& tree) const;
  Route through_switch(const Send& send) const;
  // Whether the router knows its way.
  bool is_routed(const Send& send) const;
  Route given_way(const Send& send) const;
};

void Ways::State::find_trees() {
  const int count = switch_count(schedule);
  if (count == 0) return;
  SwitchSearch search(members, router.cluster());
  for (int i = 0; i < count; ++i) {
    trees.push_back(tree_of(schedule, i, search));
    assert(trees.back().root.index >= 0 && "no switch for an end of the schedule");
  }
}

// The calibration has NVLS move (g-1)/g of a vector at this share of the links, as nccl-tests
// counts; what really crosses a link of an all-reduce is (g+1)/g of it.
double Ways::State::share_of_nvls(const SwitchTree& tree) const {
  const auto ranks = static_cast<double>(tree.ranks.size());
  const bool inside = tree.up.front().size() == 1;
  return inside && ranks > 1 ? std::min(1.0, nvls_efficiency * (ranks + 1) / (ranks - 1)) : 1;
}

Route Ways::State::through_switch(const Send& send) const {
  const bool entering = send.target >= schedule.ranks;
  assert(entering != (send.source >= schedule.ranks) && "from switch to switch");
  const SwitchTree& tree = trees[(entering ? send.target : send.source) - schedule.ranks];
  const int rank = entering ? send.source : send.target;
  const auto place = std::ranges::lower_bound(tree.ranks, rank) - tree.ranks.begin();
  Route route = route_along((entering ? tree.up : tree.down)[place], graph());
  for (LinkShare& use : route.links) use.share /= share_of_nvls(tree);
  return route;
}

Ways::Ways(const Schedule& schedule, const std::vector<AcceleratorId>& members,
           const topology::Router& router, const topology::Calibration& calibration)
    : state_(new State{schedule,
                       members,
                       router,
                       collectives::software_latency(calibration, router.cluster()),
                       {},
                       calibration.value_or("library:nccl", "nvls_efficiency", 1)}) {
  state_->find_trees();
}

Ways::~Ways() = default;

bool Ways::State::is_routed(const Send& send) const {
  return send.source < schedule.ranks && send.target < schedule.ranks && send.route < 0;
}

Route Ways::State::given_way(const Send& send) const {
  if (send.route >= 0) return route_along(schedule.forest.routes[send.route], graph());
  return through_switch(send);
}

Route Ways::of(const Send& send) const {
  const State& state = *state_;
  if (!state.is_routed(send)) return state.given_way(send);
  const AcceleratorId source = state.members[send.source], target = state.members[send.target];
  Route way = state.router.between(source, target, static_cast<std::uint64_t>(send.channel));
  assert((source == target || !way.empty()) && "no route between two members");
  return way;
}

void Ways::trace(const Send& send, topology::Trace& way) const {
  const State& state = *state_;
  if (state.is_routed(send)) {
    const AcceleratorId source = state.members[send.source], target = state.members[send.target];
    state.router.trace(source, target, static_cast<std::uint64_t>(send.channel), way);
    assert((source == target || !way.parts.empty()) && "no route between two members");
    return;
  }
  const Route given = state.given_way(send);
  way.parts.clear();
  for (const LinkShare& use : given.links) way.parts.push_back({{use.link.index}, use.share});
  way.latency = given.latency;
}

bool goes_with_moves(const Schedule& schedule, const std::vector<AcceleratorId>& members,
                     const topology::Cluster& cluster) {
  if (!schedule.forest.routes.empty()) return false;
  for (int i = 0; i < switch_count(schedule); ++i)
    if (!node_reduces(maker_of(schedule).ranks_of_switch(schedule, i), members, cluster))
      return false;
  return true;
}

Seconds Ways::software_latency(const Send& send) const {
  return send.source >= state_->schedule.ranks ? Seconds{} : state_->software;
}

std::optional<Bundle> bundle_of(const Schedule& schedule, const Send& send) {
  const bool from = send.source >= schedule.ranks, into = send.target >= schedule.ranks;
  if (!from && !into) return std::nullopt;
  const bool merges = into ? send.action == Action::reduce : send.action == Action::copy;
  if (!merges) return std::nullopt;
  return Bundle{from ? send.source : -1, into ? send.target : -1, send.chunks.first,
                send.chunks.count, send.channel};
}

Route merged(const std::vector<Route>& ways) {
  Route bundle;
  for (const Route& way : ways) {
    bundle.latency = std::max(bundle.latency, way.latency);
    bundle.links.insert(bundle.links.end(), way.links.begin(), way.links.end());
  }
  const auto key = [](const LinkShare& use) { return std::pair(use.link, -use.share); };
  std::ranges::sort(bundle.links, {}, key);
  const auto rest = std::ranges::unique(bundle.links, {}, &LinkShare::link);
  bundle.links.erase(rest.begin(), rest.end());
  return bundle;
}

std::string why_not(const Schedule& schedule, const std::vector<AcceleratorId>& members,
                    const topology::Cluster& cluster) {
  assert(static_cast<int>(members.size()) == schedule.ranks);
  if (std::string reason = why_not(schedule); !reason.empty()) return reason;
  const int count = switch_count(schedule);
  if (count == 0) return {};
  if (!networks_reduce(cluster.spec)) {  // no search over the graph, which may be large
    for (int i = 0; i < count; ++i)
      if (!node_reduces(maker_of(schedule).ranks_of_switch(schedule, i), members, cluster))
        return no_switch(schedule, i);
    return {};
  }
  SwitchSearch search(members, cluster);
  for (int i = 0; i < count; ++i)
    if (tree_of(schedule, i, search).root.index < 0) return no_switch(schedule, i);
  return {};
}

}  // namespace railwright::collectives
