// Schedules to execute, of every maker.
#pragma once

#include <algorithm>
#include <vector>

#include "worker/worker.hpp"

namespace railwright::worker {

inline const collectives::Operation all_operations[] = {
    collectives::Operation::all_reduce, collectives::Operation::reduce_scatter,
    collectives::Operation::all_gather, collectives::Operation::broadcast,
    collectives::Operation::reduce,     collectives::Operation::all_to_all,
    collectives::Operation::send};

inline bool has_root(collectives::Operation operation) {
  return operation == collectives::Operation::broadcast ||
         operation == collectives::Operation::reduce;
}

// Every maker's schedules for so many ranks that need no switches: channels, nodes, roots, segments
// and dimensions varied, one at a time.
inline std::vector<collectives::Schedule> schedules(int ranks) {
  std::vector<collectives::Schedule> result;
  const auto add = [&](const collectives::Schedule& schedule) {
    const bool known = std::ranges::find(result, schedule) != result.end();
    if (!known && collectives::why_not(schedule).empty() && why_p2p_cannot(schedule).empty())
      result.push_back(schedule);
  };
  for (const collectives::Operation operation : all_operations)
    for (int i = 0; i < collectives::algorithm_count; ++i) {
      const collectives::Schedule plain{operation, static_cast<collectives::Algorithm>(i), ranks};
      add(plain);
      for (collectives::Schedule varied = plain; ++varied.channels <= 3;) add(varied);
      const auto vary = [&](auto change) {
        collectives::Schedule varied = plain;
        change(varied);
        add(varied);
      };
      const bool nodes = plain.algorithm == collectives::Algorithm::hierarchical;
      const bool pipelined = plain.algorithm == collectives::Algorithm::chain ||
                             plain.algorithm == collectives::Algorithm::double_tree ||
                             plain.algorithm == collectives::Algorithm::pat;
      const bool torus = plain.algorithm == collectives::Algorithm::swing ||
                         plain.algorithm == collectives::Algorithm::torus;
      for (const int inner : {2, 3})
        if (nodes) vary([&](collectives::Schedule& schedule) { schedule.inner = inner; });
      if (has_root(operation))
        vary([&](collectives::Schedule& schedule) { schedule.root = ranks - 1; });
      if (pipelined) vary([](collectives::Schedule& schedule) { schedule.segments = 3; });
      if (torus) vary([&](collectives::Schedule& schedule) { schedule.dims = {ranks}; });
      if (torus) vary([&](collectives::Schedule& schedule) { schedule.dims = {2, ranks / 2}; });
    }
  return result;
}

}  // namespace railwright::worker
