#include "emulator/network/levels.hpp"

#include <algorithm>
#include <cassert>
#include <climits>
#include <cmath>
#include <utility>

namespace railwright::emulator {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

int Levels::add_link(double capacity, int label) {
  assert(capacity > 0);
  const int link = static_cast<int>(links_.size());
  links_.emplace_back();
  links_.back().capacity = capacity;
  link_rests_.emplace_back();
  link_rests_.back().label = label;
  level_.push_back(infinity);
  lone_.push_back(-1);
  room_.push_back({capacity, capacity * nearly_full, 0, false});
  return link;
}

int Levels::new_cap(double level) {
  int link = static_cast<int>(links_.size());
  if (free_caps_.empty()) {
    add_link(infinity, INT_MAX);
    links_[link].is_cap = true;
  } else {
    link = free_caps_.back();
    free_caps_.pop_back();
  }
  level_[link] = level;
  room_[link] = {0, -infinity, 0, false};
  return link;
}

void Levels::set_capacity(int link, double capacity) {
  assert(capacity > 0);
  give_up_lone(link);
  stand_up(link);
  while (!link_rests_[link].dominated.empty()) stand_up(link_rests_[link].dominated.back());
  room_[link].slack += capacity - links_[link].capacity;
  if (std::isinf(level_[link])) room_[link].wake = capacity * nearly_full;
  links_[link].capacity = capacity;
  if (room_[link].slack < room_[link].wake) make_stale(link);
}

int Levels::new_flow(int uses) {
  int flow = static_cast<int>(flows_.size());
  if (free_flows_.empty()) {
    flows_.emplace_back();
    flow_rests_.emplace_back();
  } else {
    flow = free_flows_.back();
    free_flows_.pop_back();
  }
  Flow& f = flows_[flow];
  f = {};
  flow_rests_[flow].active = true;
  flow_rests_[flow].lone = false;
  const auto size = static_cast<std::size_t>(uses);
  if (free_blocks_.size() <= size) free_blocks_.resize(size + 1);
  if (free_blocks_[size].empty()) {
    f.first = static_cast<int>(use_link_.size());
    use_link_.resize(use_link_.size() + size);
    use_place_.resize(use_link_.size());
    use_weight_.resize(use_link_.size());
  } else {
    f.first = free_blocks_[size].back();
    free_blocks_[size].pop_back();
  }
  return flow;
}

int Levels::add_flow(double share, double cap, const std::vector<Load>& loads) {
  assert(share > 0 && cap > 0 && (!loads.empty() || std::isfinite(cap)));
  const bool capped = std::isfinite(cap);
  const bool lone = !capped && nobody_on(loads);
  if (!lone)
    for (const Load& load : loads) give_up_lone(load.link);
  const int flow = new_flow(static_cast<int>(loads.size()) + capped);
  use_links(flow, share, loads);
  Flow& f = flows_[flow];
  if (capped) {
    const int link = new_cap(cap / share);
    use_link_[f.first + f.count] = link;
    use_weight_[f.first + f.count++] = 0;
  }
  if (f.count <= near_uses)
    std::copy_n(&use_link_[f.first], static_cast<std::size_t>(f.count), f.near);
  if (lone) {
    start_lone(flow);
    return flow;
  }
  join_links(flow);
  arrived_.push_back(flow);
  check_dominance(flow);
  return flow;
}

void Levels::use_links(int flow, double share, const std::vector<Load>& loads) {
  Flow& f = flows_[flow];
  flow_rests_[flow].share = share;
  f.weight = loads.empty() ? 0 : loads.front().per_rate * share;
  for (const Load& load : loads) {
    use_link_[f.first + f.count] = load.link;
    use_weight_[f.first + f.count++] = load.per_rate * share;
    if (load.per_rate * share != f.weight) f.weight = -1;
  }
}

// The links list it among their members.
void Levels::join_links(int flow) {
  const Flow& f = flows_[flow];
  uses_ += f.count;
  for (int use = 0; use < f.count; ++use) {
    Link& link = links_[use_link_[f.first + use]];
    if (link.is_cap) continue;
    use_place_[f.first + use] = static_cast<int>(link.members.size());
    link.members.push_back({flow, use, use_weight_[f.first + use]});
  }
  if (f.count <= widest_scan) return;
  keep_tree(flow);
  for (int u = f.first; u < f.first + f.count; ++u) ++links_[use_link_[u]].trees;
}

double Levels::cap(int flow) const {
  const Flow& f = flows_[flow];
  const int last = use_link_[f.first + f.count - 1];
  return links_[last].is_cap ? level_[last] * flow_rests_[flow].share : infinity;
}

void Levels::keep_tree(int flow) {
  const Flow& f = flows_[flow];
  int& tree = flow_rests_[flow].tree;
  if (tree < 0 && free_trees_.empty()) {
    tree = static_cast<int>(trees_.size());
    trees_.emplace_back();
  } else if (tree < 0) {
    tree = free_trees_.back();
    free_trees_.pop_back();
  }
  tree_values_.clear();
  for (int u = f.first; u < f.first + f.count; ++u) tree_values_.push_back(level_[use_link_[u]]);
  trees_[tree].reset(tree_values_);
}

void Levels::remove_flow(int flow) {
  const Flow& f = flows_[flow];
  assert(flow_rests_[flow].active && f.level > 0 && "settle comes between");
  flow_rests_[flow].lone ? end_lone(flow) : leave_links(flow);
  free_blocks_[static_cast<std::size_t>(f.count)].push_back(f.first);
  flow_rests_[flow].active = false;
  free_flows_.push_back(flow);
}

void Levels::leave_links(int flow) {
  hold(flow, -1);
  const Flow& f = flows_[flow];
  int& tree = flow_rests_[flow].tree;
  for (int u = f.first; u < f.first + f.count; ++u) {
    const int link = use_link_[u];
    links_[link].trees -= tree >= 0;
    if (links_[link].is_cap) {
      free_caps_.push_back(link);
      continue;
    }
    auto& members = links_[link].members;
    move_member(link, use_place_[u], static_cast<int>(members.size()) - 1);
    members.pop_back();
    if (members.empty() && link_rests_[link].dominator < 0) {
      empty(link);
      continue;
    }
    room_[link].slack += use_weight_[u] * f.level;
    if (room_[link].slack < room_[link].wake) make_stale(link);
  }
  uses_ -= f.count;
  if (tree >= 0) free_trees_.push_back(tree);
  tree = -1;
}

// It has all its room again, and nobody asks for its level.
void Levels::empty(int link) {
  if (std::isfinite(level_[link])) note_change(link);
  level_[link] = infinity;
  const double capacity = links_[link].capacity;
  room_[link] = {capacity, capacity * nearly_full, 0, room_[link].queued};
  links_[link].tied = false;
}

void Levels::move_member(int link, int from, int to) {
  if (from == to) return;
  auto& members = links_[link].members;
  std::swap(members[from], members[to]);
  for (const int place : {from, to})
    use_place_[flows_[members[place].flow].first + members[place].use] = place;
}

// The members that a link holds come first in its list.
void Levels::hold(int flow, int use) {
  Flow& f = flows_[flow];
  if (f.holder == use) return;
  if (f.holder >= 0 && !links_[use_link_[f.first + f.holder]].is_cap) {
    const int link = use_link_[f.first + f.holder];
    move_member(link, use_place_[f.first + f.holder], --links_[link].held);
  }
  f.holder = use;
  if (use < 0 || links_[use_link_[f.first + use]].is_cap) return;
  const int link = use_link_[f.first + use];
  move_member(link, use_place_[f.first + use], links_[link].held++);
}

void Levels::settle() {
  begin_changes();
  spent_ = 0;
  if (crowded()) {
    solve_component();
  } else {
    for (const int flow : arrived_) arrive(flow);
    relax();
  }
  arrived_.clear();
  name_limiting();
  report();
}

void Levels::mark_flow(int flow) {
  if (flow_rests_[flow].marked) return;
  flow_rests_[flow].marked = true;
  marked_.push_back(flow);
}

void Levels::name_limiting() {
  for (const int flow : marked_) {
    Flow& f = flows_[flow];
    flow_rests_[flow].marked = false;
    const int held_by = use_link_[f.first + f.holder];
    const int limiting = flow_rests_[flow].lone ? held_by : lowest_binding(f);
    links_[limiting].tied |= limiting != held_by;
    if (limiting == f.limiting) continue;
    f.limiting = limiting;
    relimited_.push_back(flow);
  }
  marked_.clear();
}

int Levels::lowest_binding(const Flow& flow) const {
  int lowest = -1;
  for (int u = flow.first; u < flow.first + flow.count; ++u) {
    const int link = use_link_[u];
    if (level_[link] > flow.level * (1 + tie)) continue;
    if (lowest < 0 || link_rests_[link].label < link_rests_[lowest].label) lowest = link;
  }
  assert(lowest >= 0 && "every flow is held back by somebody");
  return lowest;
}

void Levels::begin_changes() {
  if (!reported_) return;
  reported_ = false;
  changed_.clear();
  relimited_.clear();
}

void Levels::note_change(int link) {
  begin_changes();
  if (links_[link].changed) return;
  links_[link].changed = true;
  links_[link].before = level_[link];
  changed_.push_back(link);
}

// Keeps the links whose level is really another.
void Levels::report() {
  std::size_t kept = 0;
  for (const int link : changed_) {
    links_[link].changed = false;
    if (level_[link] == links_[link].before) continue;
    assert(room_[link].slack >= -1e-6 * links_[link].capacity && "a link over its capacity");
    changed_[kept++] = link;
  }
  changed_.resize(kept);
  reported_ = true;
}

}  // namespace railwright::emulator
