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

class ExchangePrices {
 public:
  ExchangePrices(const topology::Cluster& cluster, const topology::Calibration& calibration);

  // Time of the best schedule, by cause.
  const CauseSeconds& price(workload::Operation operation, Bytes size, const GroupPlace& place);

 private:
  CauseSeconds compute(workload::Operation operation, Bytes size, const GroupPlace& place) const;
  void add_phase(const collectives::PhaseLoad& phase, CauseSeconds& price) const;

  const topology::Cluster& cluster_;
  const topology::Calibration& calibration_;
  topology::Router router_;
  std::map<std::tuple<workload::Operation, std::uint64_t, GroupPlace>, CauseSeconds> prices_;
};

}  // namespace railwright::coordinator
