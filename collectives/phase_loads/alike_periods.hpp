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
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "collectives/bundle_loads.hpp"
#include "collectives/phase_latency.hpp"
#include "collectives/phase_loads/link_loads.hpp"
#include "collectives/schedule.hpp"
#include "topology/mixed.hpp"

namespace railwright::collectives {

// What a group was found to do, layer by layer, for others to whose ranks the same happens.
struct KnownHops {
  struct Layer {
    std::vector<Seconds> told;  // latencies of the hops that were traced, in their order
    std::vector<std::pair<int, HopSummary>> channels;
  };
  Schedule schedule;
  int each = 0;                                 // ranks in a period
  std::vector<int> kinds;                       // of the periods
  std::map<std::pair<int, int>, Layer> layers;  // by maker's pattern and channel
};

class AlikePeriods {
 public:
  // `stands_for`: as BundleLoads takes it. Nothing where the members do not lie alike in equally
  // many periods of each kind, or a way is neither the router's nor in a node. Ends of a send lie
  // anywhere, for others do the same in the other periods.
  static std::optional<AlikePeriods> among(const Schedule& schedule,
                                           const std::vector<topology::AcceleratorId>& members,
                                           const topology::Router& router,
                                           const std::vector<int>& stands_for);

  // So many periods of each kind.
  int copies() const { return copies_; }
  topology::BundleId standing(topology::BundleId bundle) const {
    return collectives::standing(bundle, *router_, *stands_for_);
  }

  // Counts a hop of a sort, and adds what it puts on links where it is told for others. Returns its
  // latency; trace(way) finds the way where it has to be known.
  template <class TraceWay>
  Seconds add(int source, int target, std::uint64_t sort, double weight, LinkLoads& loads,
              topology::Trace& way, TraceWay trace) {
    const bool told = is_told(source);
    Latest* latest = nullptr;
    if (copies_ > 1) {
      const std::uint64_t hop = hop_between(source, target, sort);
      sent_[period_of(source)] += hop;
      received_[period_of(target)] += hop;
      latest = &latest_[place_of(source)];
      if (!told && latest->hop == hop) return latest->latency;
      latest->hop = hop;
    }
    trace(way);
    if (latest != nullptr) latest->latency = way.latency;
    if (told)
      for (const topology::BundleShare& part : way.parts)
        loads.add(standing(part.bundle), part.share * weight);
    return way.latency;
  }
  // Whether all that was counted is the same in all periods of a kind.
  bool alike() const;

  // What a rank of a told period sends, where hops need not be counted.
  bool is_told(int source) const { return copies_ == 1 || told_[static_cast<std::size_t>(source)]; }
  void add(const topology::Trace& way, LinkLoads& loads) const {
    for (const topology::BundleShare& part : way.parts)
      loads.add(standing(part.bundle), part.share);
  }
  // Of groups to whose ranks the same happens; null: none is known.
  KnownHops* known = nullptr;
  bool is_like(const KnownHops& hops) const { return each_ == hops.each && kind_ == hops.kinds; }
  KnownHops known_hops(const Schedule& schedule) const { return {schedule, each_, kind_, {}}; }

 private:
  struct Latest {
    std::uint64_t hop = 0;
    Seconds latency;
  };

  AlikePeriods(const topology::Router& router, const std::vector<int>& stands_for)
      : router_(&router), stands_for_(&stands_for) {}
  bool place(const std::vector<topology::AcceleratorId>& members);
  std::size_t period_of(int rank) const { return static_cast<std::size_t>(rank / each_); }
  std::size_t place_of(int rank) const { return static_cast<std::size_t>(rank % each_); }
  // Of all hops of a sort, with other places or kinds of its ends another number.
  std::uint64_t hop_between(int source, int target, std::uint64_t sort) const {
    const std::size_t from = period_of(source), to = period_of(target);
    const std::uint64_t ends = place_of(source) << 32 | place_of(target);
    const std::uint64_t kinds = static_cast<std::uint64_t>(kind_[from]) << 33 |
                                static_cast<std::uint64_t>(kind_[to]) << 1 | (from == to ? 1 : 0);
    return topology::mixed(sort + ends * 0x9e3779b97f4a7c15 + kinds * 0xc2b2ae3d27d4eb4f);
  }

  const topology::Router* router_;
  const std::vector<int>* stands_for_;
  int copies_ = 1;
  int each_ = 1;            // ranks in a period
  std::vector<int> kind_;   // of the periods that the members lie in: which one stands for it
  std::vector<char> told_;  // per rank: its period is the first of its kind
  std::vector<std::uint64_t> sent_, received_;  // sums over hops: the same in any order
  std::vector<Latest> latest_;                  // by place: the hop that was traced
};

}  // namespace railwright::collectives
