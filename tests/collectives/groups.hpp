// Which schedules the tests of this floor go through.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "collectives/collectives.hpp"

namespace railwright::collectives::test {

inline constexpr Operation operations[] = {Operation::all_reduce, Operation::reduce_scatter,
                                           Operation::all_gather, Operation::broadcast,
                                           Operation::all_to_all, Operation::send};
inline constexpr Algorithm algorithms[] = {Algorithm::ring, Algorithm::binomial_tree,
                                           Algorithm::halving_doubling, Algorithm::hierarchical,
                                           Algorithm::direct};

inline std::string text_of(const Schedule& s) {
  return to_string(s.algorithm) + " " + to_string(s.operation) + " ranks " +
         std::to_string(s.ranks) + " channels " + std::to_string(s.channels) + " inner " +
         std::to_string(s.inner) + " root " + std::to_string(s.root);
}

inline bool has_root(Operation operation, Algorithm algorithm) {
  return operation == Operation::broadcast || algorithm == Algorithm::binomial_tree;
}

// Every schedule of `ranks` ranks that some maker can make: 1 to 3 channels, every node size that
// divides the ranks, roots first, middle and last.
inline std::vector<Schedule> schedules_of(int ranks) {
  std::vector<Schedule> schedules;
  const auto add = [&](Schedule schedule) {
    const bool known = std::find(schedules.begin(), schedules.end(), schedule) != schedules.end();
    if (!known && why_not(schedule).empty()) schedules.push_back(schedule);
  };
  for (const Operation operation : operations)
    for (const Algorithm algorithm : algorithms) {
      for (int channels = 1; channels <= 3; ++channels)
        add({operation, algorithm, ranks, channels, 1, 0});
      if (algorithm == Algorithm::hierarchical)
        for (int inner = 2; inner <= ranks; ++inner)
          add({operation, algorithm, ranks, 1, inner, 0});
      if (has_root(operation, algorithm))
        for (const int root : {ranks / 2, ranks - 1})
          add({operation, algorithm, ranks, 1, 1, root});
    }
  return schedules;
}

}  // namespace railwright::collectives::test
