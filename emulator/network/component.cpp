// Levels, a whole component at once.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/network/levels.hpp"

namespace railwright::emulator {

// Many newcomers: what each of them would unsettle overlaps.
bool Levels::crowded() const {
  const std::size_t flows = flows_.size() - free_flows_.size();
  return arrived_.size() > 8 && arrived_.size() > flows / 8;
}

void Levels::solve_component() {
  collect_component();
  fill_component();
  take_component();
  spent_ = 0;
}

// A link with a lone flow has no part in it.
void Levels::seed(int link) {
  if (link_rests_[link].mark == mark_ || links_[link].is_cap || lone_[link] >= 0) return;
  link_rests_[link].mark = mark_;
  component_links_.push_back(link);
}

// Whatever is joined to a stale link, to one that has changed already or to a newcomer.
void Levels::collect_component() {
  ++mark_;
  component_flows_.clear();
  component_links_.clear();
  const auto join = [this](int flow) {
    if (flow_rests_[flow].mark == mark_) return;
    flow_rests_[flow].mark = mark_;
    component_flows_.push_back(flow);
    const Flow& f = flows_[flow];
    for (int u = f.first; u < f.first + f.count; ++u) seed(use_link_[u]);
  };
  while (!stale_.empty()) {
    const int link = stale_.pop();
    room_[link].queued = links_[link].forced = false;
    seed(link);
  }
  for (const int link : changed_) seed(link);
  for (const int flow : arrived_) join(flow);
  for (std::size_t i = 0; i < component_links_.size(); ++i)
    for (const Member& member : links_[component_links_[i]].members) join(member.flow);
}

void Levels::fill_component() {
  filling_.clear();
  for (const int link : component_links_)
    link_rests_[link].local = filling_.add_link(links_[link].capacity, link_rests_[link].label);
  for (const int flow : component_flows_) {
    filling_.add_variable(share(flow), cap(flow));
    for_uses(flow, [this](int link, double per_rate) {
      filling_.add_consumption(link_rests_[link].local, per_rate);
    });
  }
  filling_.solve();
  evaluations_ += static_cast<std::int64_t>(component_links_.size());
}

void Levels::take_component() {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const int l : component_links_) {
    Link& link = links_[l];
    note_change(l);
    const bool dominated = link_rests_[l].dominator >= 0;
    const bool left_alone = dominated || link.members.empty();
    const int local = link_rests_[l].local;
    const bool full = filling_.saturated(local) && !left_alone;
    level_[l] = full ? filling_.level(local) : infinity;
    room_[l] = {link.capacity, full ? infinity : link.capacity * nearly_full, 0, false};
    if (dominated) room_[l].wake = -infinity;
    link.tied = false;
    link.quick_looks = quick_looks;
  }
  for (const int flow : component_flows_) {
    Flow& f = flows_[flow];
    int holder = 0;
    for (int use = 1; use < f.count; ++use)
      if (level_[use_link_[f.first + use]] < level_[use_link_[f.first + holder]]) holder = use;
    hold(flow, holder);
    f.level = level_[use_link_[f.first + holder]];
    for (int u = f.first; u < f.first + f.count; ++u) {
      Room& room = room_[use_link_[u]];
      room.slack -= use_weight_[u] * f.level;
      if (u != f.first + holder) room.high = std::max(room.high, f.level);
    }
    mark_flow(flow);
    if (flow_rests_[flow].tree >= 0) keep_tree(flow);
  }
}

}  // namespace railwright::emulator
