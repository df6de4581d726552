// What a collective or a send costs on idle links, remembered: a search asks for the same group,
// operation and size thousands of times.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "collectives/collectives.hpp"
#include "collectives/group_costs.hpp"
#include "coordinator/planner/causes.hpp"
#include "emulator/plan.hpp"
#include "topology/routing.hpp"

namespace railwright::coordinator {

// `count` accelerators, `stride` ordinals apart, which are counted along `axes` where there are
// some: the groups that a placement makes.
struct GroupPlace {
  int first = 0;
  int stride = 1;
  int count = 1;
  std::vector<emulator::Axis> axes = {};
  auto operator<=>(const GroupPlace&) const = default;
};

// What groups of one cluster cost. Threads share it, so that none traces a group that another one
// has traced: of a million ranks that takes seconds. Which thread comes first changes nothing.
// Groups that lie a multiple of the router's period apart are one, and so are large ones that lie
// everywhere in it.
class GroupLines {
 public:
  struct Line {
    CauseSeconds fixed, per_byte;
  };
  GroupLines(const topology::Cluster& cluster, const topology::Calibration& calibration)
      : cluster_(cluster), calibration_(calibration) {}

  // Of the schedule that is best for `size`, for any size. `router`: of the calling thread.
  Line line(workload::Operation operation, Bytes size, const GroupPlace& place,
            const topology::Router& router);
  // That schedule, of members that may lie anywhere.
  collectives::Schedule best(workload::Operation operation, Bytes size,
                             const std::vector<topology::AcceleratorId>& members,
                             const topology::Router& router);

 private:
  struct Group {
    std::mutex mutex;
    std::unique_ptr<collectives::GroupCosts> costs;
  };
  GroupPlace standard(GroupPlace place, const topology::Router& router) const;
  // Calls `act` with the costs of the group, while no other thread does.
  template <class Act>
  auto with_costs(GroupPlace place, const topology::Router& router, Act act);

  const topology::Cluster& cluster_;
  const topology::Calibration& calibration_;
  std::mutex mutex_;
  std::map<GroupPlace, Group> groups_;
};

// On one schedule the time is a straight line over the size: what its steps wait for, and what its
// bytes take on the slowest link of each phase. The schedule is chosen once per power of two.
// Not thread-safe: one per thread.
class ExchangePrices {
 public:
  ExchangePrices(const topology::Cluster& cluster, std::shared_ptr<GroupLines> groups);

  // Time of the best schedule, by cause.
  const CauseSeconds& price(workload::Operation operation, Bytes size, const GroupPlace& place);

 private:
  using Key = std::tuple<workload::Operation, std::uint64_t, GroupPlace>;

  const GroupLines::Line& line(workload::Operation operation, Bytes size, const GroupPlace& place);

  const topology::Cluster& cluster_;
  topology::Router router_;
  std::shared_ptr<GroupLines> groups_;
  std::map<Key, GroupLines::Line> lines_;  // by size at the low end of the line
  std::map<Key, CauseSeconds> prices_;
};

}  // namespace railwright::coordinator
