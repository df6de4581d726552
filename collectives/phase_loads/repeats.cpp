#include "collectives/phase_loads/repeats.hpp"

#include <algorithm>
#include <span>

namespace railwright::collectives {

using topology::AcceleratorId;
using topology::Router;

namespace {

constexpr int least_periods = 8;

// Accelerators from one member to the next; 0: not always as many.
int spacing_of(const std::vector<AcceleratorId>& members) {
  if (members.size() < 2) return 0;
  const int spacing = members[1].index - members[0].index;
  for (std::size_t i = 1; i < members.size(); ++i)
    if (members[i].index - members[i - 1].index != spacing) return 0;
  return std::max(spacing, 0);
}

}  // namespace

std::optional<Repeats> Repeats::among(const std::vector<AcceleratorId>& members,
                                      const Router& router) {
  const int period = router.period();
  if (period == 0 || std::ssize(members) < least_periods) return std::nullopt;
  const int spacing = spacing_of(members);
  if (spacing == 0 || period % spacing != 0) return std::nullopt;
  const int ranks = period / spacing, periods = static_cast<int>(members.size()) / ranks;
  if (periods < least_periods) return std::nullopt;
  const auto from_period = [&](int k) {  // two of them: a period may be one node
    return std::span(members).subspan(static_cast<std::size_t>(k) * ranks,
                                      2 * static_cast<std::size_t>(ranks));
  };
  const int last_copy = periods - 2;
  const auto near = router.move_between(from_period(1), from_period(2));
  const auto far = router.move_between(from_period(1), from_period(last_copy));
  if (!near || !far) return std::nullopt;
  return Repeats(router, *near, *far, ranks, last_copy);
}

Repeats::Repeats(const Router& router, topology::Move near, topology::Move far, int ranks,
                 int last_copy)
    : router_(&router),
      near_(std::move(near)),
      far_(std::move(far)),
      ranks_(ranks),
      last_copy_(last_copy),
      hops_(static_cast<std::size_t>(ranks)) {}

void Repeats::begin_pattern() {
  failed_ = false;
  noted_ = copied_ = 0;
  parts_.clear();
  std::ranges::fill(hops_, Hop{});
}

void Repeats::add(int source, int target, Seconds latency, const topology::Trace& way) {
  if (source / ranks_ != 1) return;
  Hop& hop = hops_[static_cast<std::size_t>(source - ranks_)];
  failed_ = failed_ || hop.target >= 0;
  hop = {target, latency};
  ++noted_;
  parts_.insert(parts_.end(), way.parts.begin(), way.parts.end());
}

void Repeats::end_channel() {
  failed_ = failed_ || copied_ != noted_ * (last_copy_ - 1);
  noted_ = copied_ = 0;
  std::ranges::fill(hops_, Hop{});
}

// Where all is of one shape, links of one sort count period by period.
bool Repeats::find_strides(std::vector<Part>& parts) const {
  for (Part& part : parts) {
    part.stride = router_->moved({part.bundle}, near_).index - part.bundle;
    const int last = router_->moved({part.bundle}, far_).index;
    if (last - part.bundle != (last_copy_ - 1) * part.stride) return false;
  }
  return true;
}

bool Repeats::end_pattern(LinkLoads& loads) {
  if (failed_) return false;
  std::ranges::stable_sort(parts_, {}, &topology::BundleShare::bundle);
  std::vector<Part> parts;
  for (const topology::BundleShare& use : parts_) {
    if (parts.empty() || parts.back().bundle != use.bundle.index)
      parts.push_back({use.bundle.index, 0, 0});
    parts.back().load += use.share;
  }
  if (!find_strides(parts)) return false;
  for (int on = 1; on < last_copy_; ++on)
    for (const Part& part : parts) loads.add({part.bundle + on * part.stride}, part.load);
  return true;
}

}  // namespace railwright::collectives
