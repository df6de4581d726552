#include "collectives/phase_loads/alike_periods.hpp"

#include <algorithm>
#include <map>

#include "collectives/ways.hpp"

namespace railwright::collectives {

using topology::AcceleratorId;
using topology::Router;

std::optional<AlikePeriods> AlikePeriods::among(const Schedule& schedule,
                                                const std::vector<AcceleratorId>& members,
                                                const Router& router,
                                                const std::vector<int>& stands_for) {
  if (!goes_with_moves(schedule, members, router.cluster())) return std::nullopt;
  AlikePeriods alike(router, stands_for);
  if (schedule.operation != workload::Operation::send && !alike.place(members)) return std::nullopt;
  // An end that is a switch is of no period.
  if (switch_count(schedule) > 0 && alike.copies_ > 1) return std::nullopt;
  return alike;
}

// Members come period after period, as many in each.
bool AlikePeriods::place(const std::vector<AcceleratorId>& members) {
  const int period = router_->period();
  const auto period_of_member = [&](AcceleratorId member) { return member.index / period; };
  const auto place_of_member = [&](AcceleratorId member) { return member.index % period; };
  const auto end = std::ranges::find_if(members, [&](AcceleratorId member) {
    return period_of_member(member) != period_of_member(members.front());
  });
  each_ = static_cast<int>(end - members.begin());
  if (std::ssize(members) % each_ != 0) return false;
  std::map<int, std::pair<std::size_t, int>> kinds;  // the first rank of one, and how many
  for (std::size_t first = 0; first < members.size(); first += static_cast<std::size_t>(each_)) {
    const int own = period_of_member(members[first]);
    const int kind = (*stands_for_)[static_cast<std::size_t>(own)];
    const auto [known, is_first] = kinds.try_emplace(kind, first, 0);
    kind_.push_back(kind);
    told_.insert(told_.end(), static_cast<std::size_t>(each_), is_first);
    ++known->second.second;
    for (std::size_t i = 0; i < static_cast<std::size_t>(each_); ++i) {
      const AcceleratorId one = members[first + i], other = members[known->second.first + i];
      if (period_of_member(one) != own || place_of_member(one) != place_of_member(other))
        return false;
    }
  }
  copies_ = kinds.begin()->second.second;
  sent_.resize(kind_.size());
  received_.resize(kind_.size());
  latest_.resize(static_cast<std::size_t>(each_));
  return std::ranges::all_of(kinds,
                             [&](const auto& kind) { return kind.second.second == copies_; });
}

bool AlikePeriods::alike() const {
  std::map<int, std::pair<std::uint64_t, std::uint64_t>> of_kind;
  for (std::size_t i = 0; i < sent_.size(); ++i) {
    const std::pair own{sent_[i], received_[i]};
    if (of_kind.try_emplace(kind_[i], own).first->second != own) return false;
  }
  return true;
}

}  // namespace railwright::collectives
