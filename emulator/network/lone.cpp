// Flows that meet nobody: most transfers of a step that runs in a cluster of its own.
//
// Such a flow fills the links on which capacity / weight is least; nothing has to be searched or
// kept for it. Its links only remember whose they are. When somebody else comes to one of them, or
// its capacity changes, the flow is entered as if it had been a member all the time.
#include <algorithm>
#include <cmath>

#include "emulator/network/levels.hpp"

namespace railwright::emulator {

bool Levels::nobody_on(const std::vector<Load>& loads) const {
  for (const Load& load : loads)
    if (lone_[load.link] >= 0 || !links_[load.link].members.empty() ||
        link_rests_[load.link].dominator >= 0)
      return false;
  return true;
}

void Levels::start_lone(int flow) {
  Flow& f = flows_[flow];
  flow_rests_[flow].lone = true;
  double least = std::numeric_limits<double>::infinity();
  for (int u = f.first; u < f.first + f.count; ++u) {
    lone_[use_link_[u]] = flow;
    least = std::min(least, links_[use_link_[u]].capacity / use_weight_[u]);
  }
  int lowest = -1;  // label of those that are full
  for (int use = 0; use < f.count; ++use) {
    const int link = use_link_[f.first + use], label = link_rests_[link].label;
    if (!fills(flow, use, least) || (lowest >= 0 && label > lowest)) continue;
    lowest = label;
    f.holder = use;
  }
  f.level = least;
  const int limiting = use_link_[f.first + f.holder];
  note_change(limiting);
  level_[limiting] = least;
  mark_flow(flow);
}

// Whether the use alone takes all of its link at this level.
bool Levels::fills(int flow, int use, double level) const {
  const int u = flows_[flow].first + use;
  return links_[use_link_[u]].capacity / use_weight_[u] <= level * (1 + tie);
}

void Levels::end_lone(int flow) {
  const Flow& f = flows_[flow];
  for (int u = f.first; u < f.first + f.count; ++u) lone_[use_link_[u]] = -1;
  const int limiting = use_link_[f.first + f.holder];
  note_change(limiting);
  level_[limiting] = std::numeric_limits<double>::infinity();
}

// Whoever has the link for himself becomes a member of his links.
void Levels::give_up_lone(int link) {
  const int flow = lone_[link];
  if (flow < 0) return;
  Flow& f = flows_[flow];
  flow_rests_[flow].lone = false;
  for (int use = 0; use < f.count; ++use) {
    const int l = use_link_[f.first + use];
    const double capacity = links_[l].capacity;
    const bool full = fills(flow, use, f.level);
    lone_[l] = -1;
    note_change(l);
    level_[l] = full ? f.level : std::numeric_limits<double>::infinity();
    room_[l] = {capacity - use_weight_[f.first + use] * f.level,
                full ? std::numeric_limits<double>::infinity() : capacity * nearly_full,
                use == f.holder ? 0 : f.level, room_[l].queued};
    links_[l].tied = false;
    links_[l].quick_looks = quick_looks;
  }
  join_links(flow);
  const int holder = f.holder;
  f.holder = -1;
  hold(flow, holder);
}

}  // namespace railwright::emulator
