#include "collectives/phase_loads/link_loads.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

namespace railwright::collectives {

std::size_t LinkLoads::Hash::operator()(const Key& key) const {
  const auto bits = std::bit_cast<std::uint64_t>(key.load);
  return (bits ^ (bits >> 29)) * 0x9e3779b97f4a7c15ull + static_cast<std::uint64_t>(key.parent);
}

LinkLoads::LinkLoads(const topology::Router& router)
    : bundles_(router.bundles()),
      open_(static_cast<std::size_t>(bundles_)),
      group_(static_cast<std::size_t>(bundles_)),
      most_listed_(static_cast<std::size_t>(bundles_) / 8) {}

template <class Do>
void LinkLoads::for_touched(Do act) {
  if (listed_) {
    for (const int bundle : touched_) act(bundle);
    return;
  }
  for (int bundle = 0; bundle < bundles_; ++bundle)
    if (open_[bundle] != 0) act(bundle);
}

int LinkLoads::child_of(int parent, double load) {
  const auto [place, first] = children_.try_emplace({parent, load}, groups());
  if (first) groups_.push_back({parent, patterns_, load});
  return place->second;
}

int LinkLoads::close() {
  children_.clear();
  int last_parent = -1, last_child = 0;
  double last_load = 0;
  for_touched([&](int bundle) {
    const double load = std::exchange(open_[bundle], 0);
    if (load == 0) return;  // listed twice
    int& group = group_[bundle];
    if (group == 0 && loaded_listed_) loaded_.push_back(bundle);
    if (loaded_.size() > most_listed_) loaded_listed_ = false;
    if (group != last_parent || load != last_load) {
      last_parent = group;
      last_load = load;
      last_child = child_of(group, load);
    }
    group = last_child;
  });
  touched_.clear();
  listed_ = true;
  return patterns_++;
}

void LinkLoads::drop() {
  for_touched([&](int bundle) { open_[bundle] = 0; });
  touched_.clear();
  listed_ = true;
}

void LinkLoads::clear() {
  for_loaded([&](int bundle) { group_[bundle] = 0; });
  loaded_.clear();
  loaded_listed_ = true;
  groups_.resize(1);
  patterns_ = 0;
}

void LinkLoads::loads_of(int group, std::vector<double>& loads) const {
  loads.assign(static_cast<std::size_t>(patterns_), 0);
  for (; group != 0; group = groups_[group].parent)
    loads[static_cast<std::size_t>(groups_[group].pattern)] = groups_[group].load;
}

}  // namespace railwright::collectives
