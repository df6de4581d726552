#include <algorithm>
#include <map>
#include <tuple>

#include "collectives/cost.hpp"
#include "collectives/phase_loads/phase_terms.hpp"

namespace railwright::collectives {
namespace {

using topology::LinkId;
using topology::Router;
using Members = std::vector<topology::AcceleratorId>;

// What the phases put on each link of a group of LinkLoads.
class GroupLoads {
 public:
  GroupLoads(const std::vector<PhaseTerms>& phases, const LinkLoads& links)
      : phases_(phases), links_(links), of_group_(static_cast<std::size_t>(links.groups())) {}

  // By phase.
  const std::vector<double>& of(int group) {
    std::vector<double>& loads = of_group_[static_cast<std::size_t>(group)];
    if (!loads.empty()) return loads;
    links_.loads_of(group, patterns_);
    for (const PhaseTerms& phase : phases_) loads.push_back(phase.load_of(patterns_));
    return loads;
  }

 private:
  const std::vector<PhaseTerms>& phases_;
  const LinkLoads& links_;
  std::vector<std::vector<double>> of_group_;
  std::vector<double> patterns_;
};

std::vector<PhaseLoad> without_links(const std::vector<PhaseTerms>& phases) {
  std::vector<PhaseLoad> loads;
  for (const PhaseTerms& phase : phases) loads.push_back(phase.load);
  return loads;
}

void add_consumption(int link, const std::vector<double>& loads, std::vector<PhaseLoad>& phases) {
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (loads[i] > 0) phases[i].consumption.push_back({LinkId{link}, loads[i]});
}

// Puts links into sets, in ascending order.
class SetMaker {
 public:
  SetMaker(const topology::Graph& graph, std::vector<LinkId> apart)
      : graph_(graph), apart_(std::move(apart)) {
    for (const auto& [link, lanes] : graph.lanes) apart_.push_back({link});
    std::ranges::sort(apart_);
  }

  // True where the link is the first of its set.
  bool add(int link, int group) {
    const std::size_t key =
        static_cast<std::size_t>(group) * graph_.classes.size() + graph_.link_class[link];
    if (known_.size() <= key) known_.resize(key + 1, -1);
    const bool alone = is_apart(link);
    const bool first = alone || known_[key] < 0;
    if (first) {
      if (!alone) known_[key] = static_cast<int>(sets.size());
      sets.emplace_back();
    }
    LinkSet& set = alone ? sets.back() : sets[static_cast<std::size_t>(known_[key])];
    if (set.lowest.size() < LinkSet::most_named) set.lowest.push_back({link});
    ++set.count;
    return first;
  }

  std::vector<LinkSet> sets;

 private:
  bool is_apart(int link) {
    while (next_ < apart_.size() && apart_[next_].index < link) ++next_;
    return next_ < apart_.size() && apart_[next_].index == link;
  }

  const topology::Graph& graph_;
  std::vector<LinkId> apart_;
  std::size_t next_ = 0;
  std::vector<int> known_;  // set by group and class of links
};

}  // namespace

Seconds software_latency(const topology::Calibration& calibration) {
  return seconds(calibration.value_or("library:nccl", "software_latency", 0));
}

std::vector<PhaseLoad> phase_loads(const Schedule& schedule, Bytes size, const Members& members,
                                   const Router& router, const topology::Calibration& calibration) {
  LinkLoads links(router, true);
  const auto terms = terms_of_phases(schedule, size, members, router, calibration, links);
  std::vector<PhaseLoad> phases = without_links(terms);
  GroupLoads loads(terms, links);
  for (const int link : links.loaded())
    add_consumption(link, loads.of(links.group_of(link)), phases);
  return phases;
}

FoldedLoads folded_phase_loads(const Schedule& schedule, Bytes size, const Members& members,
                               const Router& router, const topology::Calibration& calibration,
                               std::vector<LinkId> apart) {
  LinkLoads links(router, true);
  const auto terms = terms_of_phases(schedule, size, members, router, calibration, links);
  FoldedLoads folded{without_links(terms), {}};
  GroupLoads loads(terms, links);
  SetMaker maker(router.cluster().graph, std::move(apart));
  links.for_loaded([&](int link) {
    const int group = links.group_of(link);
    if (maker.add(link, group)) add_consumption(link, loads.of(group), folded.phases);
  });
  folded.sets = std::move(maker.sets);
  return folded;
}

}  // namespace railwright::collectives
