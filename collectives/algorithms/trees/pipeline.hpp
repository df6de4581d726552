// How segments pass through a line of hops, one behind the other: shared by chains and trees.
//
// Hop `level` carries segment k in step level + k. One way there are `levels` hops; an all-reduce
// goes the line twice, so that hop levels + i takes back out what hop levels - 1 brought in, and
// the first segments are on their way out while later ones still come in.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "collectives/maker.hpp"

namespace railwright::collectives {

// Neighbouring steps of a pipeline that make one phase.
struct Stretch {
  const char* name = "";
  std::int64_t first = 0, steps = 0;
  bool stationary = false;     // all hops are in use in all steps
  std::int64_t busiest = 0;    // counted from `first`
  std::int64_t latencies = 0;  // of the way of the first segment; the others do not wait
};

// Asked for with every send, so it is no list that has to be allocated.
class Stretches {
 public:
  Stretches(const Schedule& schedule, std::int64_t levels) {
    if (schedule.operation == Operation::all_reduce)
      there_and_back(levels, schedule.segments);
    else
      one_way(levels, schedule.segments);
  }
  const Stretch& operator[](int phase) const { return all_[static_cast<std::size_t>(phase)]; }
  std::vector<Phase> phases() const {
    std::vector<Phase> phases;
    for (int i = 0; i < count_; ++i)
      phases.push_back({all_[i].name, all_[i].steps, all_[i].stationary});
    return phases;
  }

 private:
  void add(const Stretch& stretch) {
    if (stretch.steps > 0) all_[static_cast<std::size_t>(count_++)] = stretch;
  }
  // Fewer segments than hops move through the line as a train.
  void one_way(std::int64_t levels, std::int64_t segments) {
    const std::int64_t ramp = std::min(levels, segments) - 1, last = std::max(levels, segments);
    const bool full = segments >= levels;
    add({"fill", 0, ramp, false, ramp - 1, ramp});
    add({full ? "flow" : "pass", ramp, last - ramp, full, 0, levels - ramp});
    add({"drain", last, ramp, false, 0, 0});
  }
  void there_and_back(std::int64_t levels, std::int64_t segments) {
    const std::int64_t turned = levels + segments - 1, full = 2 * levels - 1;
    add({"reduce", 0, levels, levels == 1, levels - 1, levels});
    if (segments > full) {
      add({"reduce, begin to broadcast", levels, levels - 1, false, levels - 2, 0});
      add({"reduce and broadcast", full, segments - full, true, 0, 0});
      add({"broadcast, end to reduce", segments, levels - 1, false, 0, 0});
    } else {
      add({"reduce and broadcast", levels, segments - 1, false, (segments - 1) / 2, 0});
    }
    add({"broadcast", turned, levels, levels == 1, 0, levels});
  }

  std::array<Stretch, 5> all_;
  int count_ = 0;
};

inline std::string refusal_of_segments(const Schedule& schedule) {
  if (schedule.segments >= 1) return {};
  return to_string(schedule.algorithm) + ": " + std::to_string(schedule.segments) +
         " segments carry nothing; write 1 or more";
}

}  // namespace railwright::collectives
