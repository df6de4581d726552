// What a collective or a send costs on idle links, remembered: a search asks for the same group,
// operation and size thousands of times.
#pragma once

#include <map>
#include <tuple>

#include "collectives/collectives.hpp"
#include "coordinator/planner/causes.hpp"
#include "topology/routing.hpp"

namespace railwright::coordinator {

// `count` accelerators, `stride` ordinals apart: the groups that the default placement makes.
struct GroupPlace {
  int first = 0;
  int stride = 1;
  int count = 1;
  auto operator<=>(const GroupPlace&) const = default;
};

// On one schedule the time is a straight line over the size: what its steps wait for, and what its
// bytes take on the slowest link of each phase. The schedule is chosen once per power of two.
class ExchangePrices {
 public:
  ExchangePrices(const topology::Cluster& cluster, const topology::Calibration& calibration);

  // Time of the best schedule, by cause.
  const CauseSeconds& price(workload::Operation operation, Bytes size, const GroupPlace& place);

 private:
  struct Line {
    CauseSeconds fixed, per_byte;
  };
  using Key = std::tuple<workload::Operation, std::uint64_t, GroupPlace>;

  const Line& line(workload::Operation operation, Bytes size, const GroupPlace& place);
  void add_phase(const collectives::PhaseLoad& phase, Bytes size, Line& line) const;

  const topology::Cluster& cluster_;
  const topology::Calibration& calibration_;
  topology::Router router_;
  std::map<Key, Line> lines_;  // by size at the low end of the line
  std::map<Key, CauseSeconds> prices_;
};

}  // namespace railwright::coordinator
