// Groups over periods of the fabric that do the same: one period of each kind is traced. Internal
// to the loads of phases.
//
// A way between two periods loads links of its ends' own periods, and which ones follows from where
// the ends lie within these (Router::period_of). So where every period of a kind sends, and is
// sent, the same as the others, told by places within periods, the links of all of them carry the
// same, link by link: those of one are told. Nothing is assumed of a schedule: all hops are
// counted.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "collectives/phase_loads/link_loads.hpp"
#include "collectives/schedule.hpp"

namespace railwright::collectives {

class AlikePeriods {
 public:
  // `stands_for`: as BundleLoads takes it. Nothing where the members do not lie alike in equally
  // many periods of each kind, or a way is neither the router's nor in a node. Ends of a send lie anywhere, for
  // others do the same in the other periods.
  static std::optional<AlikePeriods> among(const Schedule& schedule,
                                           const std::vector<topology::AcceleratorId>& members,
                                           const topology::Router& router,
                                           const std::vector<int>& stands_for);

  // So many periods of each kind.
  int copies() const { return copies_; }
  topology::BundleId standing(topology::BundleId bundle) const;

  // Counts a hop of a sort, and adds what it puts on links where it is told for others. Returns its
  // latency; trace(way) finds the way where it has to be known.
  template <class TraceWay>
  Seconds add(int source, int target, std::uint64_t sort, double weight, LinkLoads& loads,
              topology::Trace& way, TraceWay trace) {
    const bool told = copies_ == 1 || first_[period_of(source)];
    Known* known = nullptr;
    if (copies_ > 1) {
      const std::uint64_t hop = hop_between(source, target, sort);
      sent_[period_of(source)] += hop;
      received_[period_of(target)] += hop;
      known = &known_[place_of(source)];
      if (!told && known->hop == hop) return known->latency;
      known->hop = hop;
    }
    trace(way);
    if (known != nullptr) known->latency = way.latency;
    if (told)
      for (const topology::BundleShare& part : way.parts)
        loads.add(standing(part.bundle), part.share * weight);
    return way.latency;
  }
  // Whether all that was counted is the same in all periods of a kind.
  bool alike() const;

  // Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the finalizer.
  static std::uint64_t mixed(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }

 private:
  struct Known {
    std::uint64_t hop = 0;
    Seconds latency;
  };

  AlikePeriods(const topology::Router& router, const std::vector<int>& stands_for)
      : router_(&router), stands_for_(&stands_for) {}
  bool place(const std::vector<topology::AcceleratorId>& members);
  std::size_t period_of(int rank) const { return static_cast<std::size_t>(rank / each_); }
  std::size_t place_of(int rank) const { return static_cast<std::size_t>(rank % each_); }
  std::uint64_t hop_between(int source, int target, std::uint64_t sort) const {
    const std::size_t from = period_of(source), to = period_of(target);
    const std::uint64_t places = place_of(source) << 32 | place_of(target);
    const std::uint64_t kinds = static_cast<std::uint64_t>(kind_[from]) << 32 |
                                static_cast<std::uint64_t>(kind_[to]);
    return mixed(mixed(mixed(sort ^ (from == to ? 1 : 0)) ^ places) ^ kinds);
  }

  const topology::Router* router_;
  const std::vector<int>* stands_for_;
  int copies_ = 1;
  int each_ = 1;             // ranks in a period
  std::vector<int> kind_;    // of the periods that the members lie in: which one stands for it
  std::vector<bool> first_;  // of its kind
  std::vector<std::uint64_t> sent_, received_;  // sums over hops: the same in any order
  std::vector<Known> known_;                    // by place: the latest hop that was traced
};

}  // namespace railwright::collectives
