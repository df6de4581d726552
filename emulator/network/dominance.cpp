// Links that can never bind: somebody else's limit comes first, whatever happens.
//
// Link l is dominated by m when every flow on l is on m too and takes at least as large a part of
// m's capacity; where it is the same part, m must have the lower label, because that is the one to
// name. Flows that leave change nothing in this. Flows that come and capacities that change may.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/network/levels.hpp"

namespace railwright::emulator {

// A part of a link's capacity, per unit of the flow's level; nothing when the flow is not there.
double Levels::part_of(int flow, int link) const {
  const Flow& f = flows_[flow];
  for (int u = f.first; u < f.first + f.count; ++u)
    if (use_link_[u] == link) return use_weight_[u] / links_[link].capacity;
  return 0;
}

// A flow over very many links, a whole phase of a collective, would be searched for each of them.
bool Levels::dominates(int by, int link, const Member& member) const {
  constexpr int few_links = 64;
  if (flows_[member.flow].count > few_links) return false;
  const double there = part_of(member.flow, by), here = member.weight / links_[link].capacity;
  return link_rests_[by].label < link_rests_[link].label ? there >= here : there > here;
}

// Looks for a link to stand back for, among those that hold the flows of the latest evaluation.
bool Levels::stands_back(int link) {
  const auto highest =
      std::max_element(elsewhere_.begin(), elsewhere_.end(),
                       [](const Elsewhere& a, const Elsewhere& b) { return a.level < b.level; });
  const int by = use_link_[flows_[highest->flow].first + highest->holder];
  if (links_[by].is_cap || by == link) return false;
  const auto& members = links_[link].members;
  if (!std::all_of(members.begin(), members.end(),
                   [&](const Member& member) { return dominates(by, link, member); }))
    return false;
  link_rests_[link].dominator = by;
  link_rests_[by].dominated.push_back(link);
  return true;
}

void Levels::stand_up(int l) {
  LinkRest& link = link_rests_[l];
  if (link.dominator < 0) return;
  assert(std::isinf(level_[l]));
  auto& dominated = link_rests_[link.dominator].dominated;
  dominated.erase(std::find(dominated.begin(), dominated.end(), l));
  link.dominator = -1;
  room_[l].wake = links_[l].capacity * nearly_full;
  if (room_[l].slack < room_[l].wake) make_stale(l);
}

void Levels::check_dominance(int flow) {
  const Flow& f = flows_[flow];
  for (int u = f.first; u < f.first + f.count; ++u) {
    const int link = use_link_[u], by = link_rests_[link].dominator;
    if (by >= 0 && !dominates(by, link, {flow, u - f.first, use_weight_[u]})) stand_up(link);
  }
}

}  // namespace railwright::emulator
