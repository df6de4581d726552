#include "emulator/step/folding/periods.hpp"

#include <algorithm>

namespace railwright::emulator {

using topology::LinkId;
using topology::Router;

std::optional<Periods> Periods::of(const Programs& programs, const Plan& plan, const Router& router,
                                   const StepFaults& faults) {
  const std::int64_t first = plan.placement.first_accelerator;
  Periods periods;
  periods.each_ = router.period();
  periods.first_accelerator_ = first;
  if (periods.each_ == 0 || !faults.links.empty() || !faults.accelerators.empty())
    return std::nullopt;
  if (programs.ranks() % periods.each_ != 0 || first % periods.each_ != 0) return std::nullopt;
  const Placement& placement = plan.placement;
  if (!counts_up(placement, plan.degrees) || !placement.axes.empty() ||
      !placement.exceptions.empty())
    return std::nullopt;
  if (!periods.find_kinds(programs) || !periods.find_groups(programs)) return std::nullopt;
  periods.first_period_ = static_cast<int>(first / periods.each_);
  const auto of_cluster = router.cluster().accelerators() / periods.each_ + 1;
  periods.stands_for_.assign(static_cast<std::size_t>(of_cluster), -1);
  for (std::size_t i = 0; i < periods.kind_.size(); ++i)
    periods.stands_for_[static_cast<std::size_t>(periods.first_period_) + i] =
        periods.first_period_ + periods.first_of_kind_[static_cast<std::size_t>(periods.kind_[i])];
  return periods;
}

// False where each is of its own kind, or where there are more of one than of another.
bool Periods::find_kinds(const Programs& programs) {
  const auto stages_in = [&](std::int64_t period) {
    return std::span(programs.stage_of)
        .subspan(static_cast<std::size_t>(period * each_), static_cast<std::size_t>(each_));
  };
  const std::int64_t count = programs.ranks() / each_;
  std::vector<std::int64_t> size;
  for (int period = 0; period < count; ++period) {
    const auto same = [&](int first) {
      return std::ranges::equal(stages_in(first), stages_in(period));
    };
    const auto known = std::ranges::find_if(first_of_kind_, same);
    kind_.push_back(static_cast<int>(known - first_of_kind_.begin()));
    if (known == first_of_kind_.end()) {
      first_of_kind_.push_back(period);
      size.push_back(0);
      const auto stages = stages_in(period);
      seats_.stage_of.insert(seats_.stage_of.end(), stages.begin(), stages.end());
    }
    ++size[static_cast<std::size_t>(kind_.back())];
  }
  const auto equal = [&](std::int64_t each) { return each == size.front(); };
  return size.front() > 1 && std::ranges::all_of(size, equal);
}

bool Periods::find_groups(const Programs& programs) {
  for (int d = 0; d < dimension_count; ++d) {
    const bool meets = programs.anyone_meets(static_cast<workload::Dimension>(d));
    const GroupTable& groups = programs.groups[d];
    // Of whom nobody meets, a group that tells nobody apart.
    if (!meets) {
      seats_.groups[d] = {1, seats_.ranks(), 1};
      continue;
    }
    const auto of_seats = groups_of_seats(groups);
    if (!of_seats) return false;
    seats_.groups[d] = *of_seats;
  }
  return true;
}

// The part of each group that is looked at. It lies in one period; or as many of its members lie in
// each of several, all of one kind, or one of each.
std::optional<GroupTable> Periods::groups_of_seats(const GroupTable& groups) const {
  const std::int64_t extent = groups.stride * groups.degree;
  const auto of = [&](std::int64_t stride, std::int64_t degree) {
    return GroupTable{stride, degree, seats_.ranks() / degree};
  };
  if (each_ % extent == 0) return of(groups.stride, groups.degree);
  const bool apart = groups.stride % each_ == 0;  // a member in each period
  if (!apart && (each_ % groups.stride != 0 || extent % each_ != 0)) return std::nullopt;
  const GroupTable periods = apart ? GroupTable{groups.stride / each_, groups.degree, 0}
                                   : GroupTable{1, extent / each_, 0};
  bool one_kind = true, one_of_each = std::ssize(first_of_kind_) == periods.degree;
  for (std::int64_t period = 0; period < std::ssize(kind_); ++period) {
    const std::int64_t first = periods.first(periods.group_of(period));
    one_kind = one_kind && kind_[period] == kind_[first];
    one_of_each = one_of_each && kind_[period] == (period - first) / periods.stride;
  }
  if (one_kind) return apart ? of(1, 1) : of(groups.stride, each_ / groups.stride);
  if (one_of_each) return of(apart ? each_ : groups.stride, groups.degree);
  return std::nullopt;
}

bool Periods::lie_alike(std::int64_t from, std::int64_t to) const {
  const std::int64_t seat = seat_of(to);
  for (std::size_t period = 0; period < kind_.size(); ++period) {
    if (kind_[period] != kind_[static_cast<std::size_t>(from / each_)]) continue;
    const std::int64_t other = static_cast<std::int64_t>(period) * each_ + from % each_ + to - from;
    const bool there = other >= 0 && other < static_cast<std::int64_t>(kind_.size()) * each_;
    if (!there || seat_of(other) != seat) return false;
  }
  return true;
}

void Periods::name(LinkId link, const Router& router, collectives::LinkSet& set) const {
  const int own = router.period_of({link.index});
  for (std::size_t period = 0; period < stands_for_.size(); ++period) {
    if (stands_for_[period] != own) continue;
    const LinkId other{router.in_period({link.index}, static_cast<int>(period)).index};
    if (set.lowest.size() == collectives::LinkSet::most_named && other > set.lowest.back()) return;
    set.lowest.insert(std::ranges::upper_bound(set.lowest, other), other);
    if (set.lowest.size() > collectives::LinkSet::most_named) set.lowest.pop_back();
  }
}

}  // namespace railwright::emulator
