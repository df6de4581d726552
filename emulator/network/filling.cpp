#include "emulator/network/filling.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>

namespace railwright::emulator {

void Filling::clear() {
  links_.clear();
  share_.clear();
  cap_.clear();
  first_.clear();
  entries_.clear();
}

int Filling::add_link(double capacity, int label) {
  assert(capacity > 0);
  links_.push_back({capacity, capacity, 0, 0, 0, label, 0});
  return static_cast<int>(links_.size()) - 1;
}

void Filling::add_variable(double share, double cap) {
  assert(share > 0 && cap > 0);
  share_.push_back(share);
  cap_.push_back(cap);
  first_.push_back(static_cast<int>(entries_.size()));
}

void Filling::add_consumption(int link, double per_rate) {
  assert(per_rate > 0);
  entries_.push_back({link, per_rate});
  ++links_[link].growing;
  links_[link].weight += per_rate * share_.back();
}

void Filling::solve() {
  first_.push_back(static_cast<int>(entries_.size()));
  rate_.assign(share_.size(), std::numeric_limits<double>::infinity());
  limiting_.assign(share_.size(), -1);
  frozen_.assign(share_.size(), 0);
  current_ = 0;
  growing_ = variables();
  fold_private_links();
  list_members();
  make_candidates();
  grow();
  find_limiting();
  first_.pop_back();
}

// A link with one variable is a cap of that variable: no need to put it on the heap.
void Filling::fold_private_links() {
  cap_link_.assign(share_.size(), -1);
  for (int v = 0; v < variables(); ++v)
    for (int e = first_[v]; e < first_[v + 1]; ++e) {
      const Link& link = links_[entries_[e].link];
      const double cap = link.capacity / entries_[e].per_rate;
      if (link.growing > 1 || cap >= cap_[v]) continue;
      cap_[v] = cap;
      cap_link_[v] = entries_[e].link;
    }
}

void Filling::list_members() {
  int total = 0;
  for (Link& link : links_) {
    link.first = total;
    if (link.growing > 1) total += link.growing;
  }
  member_.resize(total);
  member_rate_.resize(total);
  for (int v = 0; v < variables(); ++v)
    for (int e = first_[v]; e < first_[v + 1]; ++e) {
      Link& link = links_[entries_[e].link];
      if (link.growing < 2) continue;
      member_[link.first] = v;
      member_rate_[link.first++] = entries_[e].per_rate;
    }
  for (Link& link : links_)
    if (link.growing > 1) link.first -= link.growing;
}

void Filling::make_candidates() {
  heap_.clear();
  caps_.clear();
  for (int l = 0; l < static_cast<int>(links_.size()); ++l)
    if (links_[l].growing > 1) heap_.push_back({level_of(links_[l]), l});
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  for (int v = 0; v < variables(); ++v)
    if (std::isfinite(cap_[v])) caps_.push_back({cap_[v] / share_[v], v});
  std::sort(caps_.begin(), caps_.end());
}

void Filling::grow() {
  std::size_t next_cap = 0;
  while (growing_ > 0) {
    while (next_cap < caps_.size() && frozen_[caps_[next_cap].second]) ++next_cap;
    const bool has_link = settle_top_link();
    const bool has_cap = next_cap < caps_.size();
    if (!has_link && !has_cap) break;  // only variables that nothing limits are left
    if (has_cap && (!has_link || caps_[next_cap].first <= heap_.front().first)) {
      const auto [level, variable] = caps_[next_cap++];
      current_ = std::max(current_, level);
      freeze(variable, cap_[variable], cap_link_[variable]);
    } else {
      freeze_by_link(heap_.front().second);
    }
  }
}

// Brings the link with the lowest level to the top; false when no link can bind any more.
bool Filling::settle_top_link() {
  while (!heap_.empty()) {
    const auto [level, l] = heap_.front();
    const double now = links_[l].growing > 0 ? level_of(links_[l]) : level;
    if (links_[l].growing > 0 && now <= level) return true;
    pop_link();
    if (links_[l].growing == 0) continue;
    heap_.push_back({now, l});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  return false;
}

// What is subtracted one by one drifts, so the link that is about to bind is summed afresh.
void Filling::recount(int l) {
  Link& link = links_[l];
  long double used = 0, weight = 0;
  const int end = l + 1 < static_cast<int>(links_.size()) ? links_[l + 1].first
                                                          : static_cast<int>(member_.size());
  for (int m = link.first; m < end; ++m) {
    const int v = member_[m];
    if (frozen_[v])
      used += static_cast<long double>(member_rate_[m]) * rate_[v];
    else
      weight += static_cast<long double>(member_rate_[m]) * share_[v];
  }
  link.slack = static_cast<double>(link.capacity - used);
  link.weight = static_cast<double>(weight);
}

void Filling::freeze_by_link(int l) {
  const double expected = heap_.front().first;
  recount(l);
  const double level = level_of(links_[l]);
  pop_link();
  if (level > expected && !heap_.empty() && level > heap_.front().first) {
    heap_.push_back({level, l});
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    return;
  }
  current_ = level;
  const int end = l + 1 < static_cast<int>(links_.size()) ? links_[l + 1].first
                                                          : static_cast<int>(member_.size());
  for (int m = links_[l].first; m < end; ++m)
    if (const int v = member_[m]; !frozen_[v]) freeze(v, level * share_[v], l);
}

void Filling::freeze(int variable, double rate, int by) {
  frozen_[variable] = 1;
  rate_[variable] = rate;
  limiting_[variable] = by;
  --growing_;
  for (int e = first_[variable]; e < first_[variable + 1]; ++e) {
    Link& link = links_[entries_[e].link];
    --link.growing;
    link.slack -= entries_[e].per_rate * rate;
    link.weight -= entries_[e].per_rate * share_[variable];
  }
}

// Rounding may leave a hair less than the level that has been reached; in truth levels never fall.
double Filling::level_of(const Link& link) const {
  return std::max(current_, link.weight > 0 ? link.slack / link.weight : 0.0);
}

void Filling::pop_link() {
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  heap_.pop_back();
}

bool Filling::binds(int link, double level) const {
  return saturated(link) && level >= links_[link].level * (1 - tie);
}

// Of the links that bind a variable at once the lowest label is named, whatever froze it first; in
// passing no link may be found over its capacity.
void Filling::find_limiting() {
  for (Link& link : links_) link.slack = link.capacity, link.level = 0;
  for (int v = 0; v < variables(); ++v)
    for (int e = first_[v]; e < first_[v + 1]; ++e) {
      Link& link = links_[entries_[e].link];
      link.slack -= entries_[e].per_rate * rate_[v];
      link.level = std::max(link.level, rate_[v] / share_[v]);
    }
  for (const Link& link : links_) assert(link.slack >= -1e-6 * link.capacity);
  for (int v = 0; v < variables(); ++v) name_limiting(v);
}

void Filling::name_limiting(int v) {
  int lowest = -1;
  for (int e = first_[v]; e < first_[v + 1]; ++e) {
    const int l = entries_[e].link;
    if (!binds(l, rate_[v] / share_[v])) continue;
    if (lowest < 0 || links_[l].label < links_[lowest].label) lowest = l;
  }
  if (lowest >= 0) limiting_[v] = lowest;
}

}  // namespace railwright::emulator
