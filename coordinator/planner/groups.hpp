// Where the groups of a stage sit: one representative of each pattern over the nodes.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "coordinator/planner/exchange.hpp"
#include "topology/topology.hpp"
#include "workload/workload.hpp"

namespace railwright::coordinator {

// Degrees, and how their ranks are numbered; rank r sits on accelerator r, or on the r-th along the
// axes of a torus.
struct Placed {
  workload::Degrees degrees;
  workload::RankOrder order = workload::default_order;
  std::vector<emulator::Axis> axes = {};
  bool is_usual() const { return order == workload::default_order && axes.empty(); }
  bool operator==(const Placed&) const = default;
};

// Remembers: points of a search share most of their groups. Not thread-safe.
class GroupPlaces {
 public:
  explicit GroupPlaces(const topology::Cluster& cluster) : cluster_(cluster) {}

  // Groups of `dimension` in a stage that lie differently on the nodes: those that straddle nodes
  // are the slow ones. The first few groups are looked at, as a pattern repeats soon.
  const std::vector<GroupPlace>& distinct(workload::Dimension dimension, const Placed& placed,
                                          int stage);

 private:
  // First rank of the stage, distance between stages and their number, stride and size of groups.
  using Key =
      std::tuple<std::int64_t, std::int64_t, int, std::int64_t, int, std::vector<emulator::Axis>>;
  std::vector<GroupPlace> find(const Key& key) const;
  std::vector<int> pattern(const GroupPlace& place) const;
  std::vector<std::int64_t> beginnings(std::int64_t first, std::int64_t stage_stride,
                                       int stages) const;

  const topology::Cluster& cluster_;
  std::map<Key, std::vector<GroupPlace>> known_;
};

// Of the stage's first rank.
std::int64_t first_rank(const Placed& placed, int stage);

}  // namespace railwright::coordinator
