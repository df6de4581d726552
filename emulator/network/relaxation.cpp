// Levels, one stale link after another.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>

#include "emulator/network/levels.hpp"

namespace railwright::emulator {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// Computing in another order moves the last bits of a level; such a change is
// none.
bool same(double a, double b) { return a == b || std::abs(a - b) <= 1e-13 * std::min(a, b); }

}  // namespace

// Roughly in the order of old levels; a link that was not full has none, and
// `otherwise` stands for it.
void Levels::make_stale(int link, double otherwise) {
  if (room_[link].queued) return;
  room_[link].queued = true;
  stale_.push(std::isinf(level_[link]) ? otherwise : level_[link], link);
}

// A new flow takes the least level of its links. Where none has one, it fills
// those that it has for itself; and where it shares them all, each of them has
// to find out.
void Levels::arrive(int flow) {
  mark_flow(flow);
  const Flow& f = flows_[flow];
  double lowest = infinity;
  int holder = -1;
  for (int use = 0; use < f.count; ++use)
    if (const double level = level_[use_link_[f.first + use]]; level < lowest)
      lowest = level, holder = use;
  if (holder >= 0) return shift(flow, lowest, holder, -1);
  for (int use = 0; use < f.count; ++use)
    if (const double level = own_level(use_link_[f.first + use]); level < lowest)
      lowest = level, holder = use;
  if (holder < 0) return force_links(f);
  const int link = use_link_[f.first + holder];
  change_level(link, lowest);
  room_[link] = {0, infinity, 0, room_[link].queued};
  shift(flow, lowest, holder, holder);
}

// Of a link that one flow has for itself: the level at which it fills it.
double Levels::own_level(int l) const {
  const Link& link = links_[l];
  if (link.members.size() != 1 || link_rests_[l].dominator >= 0) return infinity;
  return link.capacity / link.members.front().weight;
}

void Levels::force_links(const Flow& flow) {
  for (int u = flow.first; u < flow.first + flow.count; ++u) {
    const int link = use_link_[u];
    if (link_rests_[link].dominator >= 0) continue;
    links_[link].forced = true;
    look_elsewhere(link);
    make_stale(link, root(link, links_[link].capacity));
  }
}

// The flow's level becomes another; the link of the use `except` knows.
void Levels::shift(int flow, double level, int holder, int except) {
  hold(flow, holder);
  Flow& f = flows_[flow];
  const double more = level - f.level;
  f.level = level;
  const int* links = links_of(f);
  for (int use = 0; use < f.count; ++use) {
    if (use == except) continue;
    Room& room = room_[links[use]];
    room.slack -= (f.weight >= 0 ? f.weight : use_weight_[f.first + use]) * more;
    if (room.slack >= room.wake) continue;
    if (use != holder) room.high = std::max(room.high, level);  // full: nobody asks otherwise
    if (!room.queued) make_stale(links[use], level);
  }
}

// More than four looks at every use: not the order in which this settles soon.
void Levels::relax() {
  while (!stale_.empty()) {
    const int l = stale_.pop();
    Link& link = links_[l];
    room_[l].queued = false;
    if (!link.forced && room_[l].slack >= room_[l].wake) continue;
    link.forced = false;
    if (!evaluate_quickly(l)) evaluate(l);
    ++evaluations_;
    if (spent_ > 4 * uses_ + 1024) solve_component();
  }
}

Levels::Elsewhere Levels::elsewhere_of(const Member& member) const {
  const Flow& flow = flows_[member.flow];
  Elsewhere lowest{infinity, member.weight, member.flow, member.use, member.use};
  if (flow.count > widest_scan) {
    const MinTree& tree = trees_[flow_rests_[member.flow].tree];
    lowest.holder = tree.lowest_place_but(member.use);
    lowest.level = tree.value(lowest.holder);
    return lowest;
  }
  const int* link = links_of(flow);
  for (int use = 0; use < flow.count; ++use)
    if (level_[link[use]] < lowest.level) lowest.level = level_[link[lowest.holder = use]];
  return lowest;
}

// Only a flow that the link itself holds has to ask its other links.
void Levels::look_elsewhere(int link) {
  elsewhere_.clear();
  const double level = level_[link];
  level_[link] = infinity;
  for (const Member& member : links_[link].members) {
    const Flow& flow = flows_[member.flow];
    if (flow.holder >= 0 && flow.holder != member.use)
      elsewhere_.push_back({flow.level, member.weight, member.flow, member.use, flow.holder});
    else
      elsewhere_.push_back(elsewhere_of(member));
  }
  level_[link] = level;
  spent_ += static_cast<std::int64_t>(elsewhere_.size());
}

void Levels::evaluate(int l) {
  Link& link = links_[l];
  link.quick_looks = quick_looks;
  look_elsewhere(l);
  double level = root(l, link.capacity);
  const bool back = link.held == 0 && std::isfinite(level) && stands_back(l);
  if (back) level = infinity;
  if (!same(level_[l], level)) {
    link.tied = false;
    room_[l].high = 0;
    publish(l, level, link.capacity);
  }
  if (back) room_[l].wake = -infinity;
}

// The root for those in `elsewhere_`, who share this much. Newton on a function
// that is concave and made of straight pieces: from the first step on it comes
// from below, and ends when no other piece follows. Never above the highest, so
// somebody grows.
double Levels::root(int link, double capacity) const {
  double weight = 0, lowest = infinity, highest = 0;
  for (const Elsewhere& flow : elsewhere_) {
    weight += flow.weight;
    lowest = std::min(lowest, flow.level);
    highest = std::max(highest, flow.level);
  }
  const double least = capacity / weight;
  if (least <= lowest && least < highest) return least;  // it holds all of them
  double level = std::min(std::isinf(level_[link]) ? least : level_[link], highest);
  for (bool first = true; !elsewhere_.empty(); first = false) {
    double taken = 0, growing = 0;
    for (const Elsewhere& flow : elsewhere_) {
      const bool held = flow.level < level;
      taken += held ? flow.weight * flow.level : 0;
      growing += held ? 0 : flow.weight;
    }
    const double next = std::max((capacity - taken) / growing, least);
    if (next >= highest) break;
    if (next == level || (!first && next <= level * (1 + 1e-15))) return next;
    level = next;
  }
  return root_beyond(link, capacity, highest);
}

// All are held elsewhere: do they fill the link?
double Levels::root_beyond(int link, double capacity, double highest) const {
  double total = 0;
  for (const Elsewhere& flow : elsewhere_) total += flow.weight * flow.level;
  return total >= capacity - links_[link].capacity * tie ? highest : infinity;
}

// Looks only at those whom the link holds. They share what is left of it; while
// the level rises nobody else grows, and while it falls nobody else matters
// until it comes down to the highest of them. False: this does not tell.
bool Levels::evaluate_quickly(int l) {
  Link& link = links_[l];
  if (link.held == 0 || link.tied || link.quick_looks-- <= 0) return false;
  double weight = 0;
  for (int i = 0; i < link.held; ++i) {
    __builtin_prefetch(&flows_[link.members[i].flow]);  // all of them are asked next
    weight += link.members[i].weight;
  }
  const double left = room_[l].slack + weight * level_[l];
  const double level = left / weight;
  spent_ += link.held;
  if (same(level_[l], level)) return true;
  if (level > level_[l]) return raise(l, left), true;
  if (level <= room_[l].high * (1 + tie)) return false;
  return lower(l, level), true;
}

void Levels::change_level(int l, double level) {
  note_change(l);
  level_[l] = level;
  if (links_[l].trees == 0) return;
  for (const Member& member : links_[l].members)
    if (const int tree = flow_rests_[member.flow].tree; tree >= 0)
      trees_[tree].set(member.use, level);
}

void Levels::lower(int l, double level) {
  change_level(l, level);
  const Link& link = links_[l];
  room_[l].slack = 0;
  for (int i = 0; i < link.held; ++i) {
    const Member member = link.members[i];
    const Flow& flow = flows_[member.flow];
    if (flow.limiting != l) mark_flow(member.flow);
    shift(member.flow, level, member.use, member.use);
  }
}

void Levels::raise(int l, double left) {
  elsewhere_.clear();
  const double level = level_[l];
  level_[l] = infinity;
  for (int i = 0; i < links_[l].held; ++i) elsewhere_.push_back(elsewhere_of(links_[l].members[i]));
  level_[l] = level;
  publish(l, root(l, left), left);
}

// Tells the members in `elsewhere_`, who share this much.
void Levels::publish(int l, double level, double capacity) {
  change_level(l, level);
  Room& room = room_[l];
  room.wake = std::isinf(level) ? links_[l].capacity * nearly_full : infinity;
  for (const Elsewhere& flow : elsewhere_) {
    capacity -= flow.weight * std::min(level, flow.level);
    if (flow.level <= level) room.high = std::max(room.high, flow.level);
  }
  room.slack = capacity;
  published_.swap(elsewhere_);  // a flow that shifts may have other links looked at
  for (const Elsewhere& member : published_) follow(member, l);
}

void Levels::follow(const Elsewhere& member, int link) {
  const Flow& flow = flows_[member.flow];
  const double level = level_[link];
  const bool held_here = level <= member.level * (1 + tie);
  const bool held_elsewhere = member.level <= level * (1 + tie);
  if (held_elsewhere ? held_here || flow.limiting == link : flow.limiting != link)
    mark_flow(member.flow);
  const bool lower = level < member.level;
  const double lowest = lower ? level : member.level;
  const int holder = lower ? member.use : member.holder;
  if (lowest != flow.level)
    shift(member.flow, lowest, holder, member.use);
  else
    hold(member.flow, holder);
}

}  // namespace railwright::emulator
