// Which schedules the tests of this floor go through.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "collectives/collectives.hpp"

namespace railwright::collectives::test {

inline constexpr Operation operations[] = {
    Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather, Operation::broadcast,
    Operation::reduce,     Operation::all_to_all,     Operation::send};

inline std::vector<Algorithm> all_algorithms() {
  std::vector<Algorithm> all;
  for (int i = 0; i < algorithm_count; ++i) all.push_back(static_cast<Algorithm>(i));
  return all;
}
inline const std::vector<Algorithm> algorithms = all_algorithms();

inline std::string text_of(const Schedule& s) {
  std::string dims;
  for (const int extent : s.dims) dims += (dims.empty() ? " dims " : "x") + std::to_string(extent);
  return to_string(s.algorithm) + " " + to_string(s.operation) + " ranks " +
         std::to_string(s.ranks) + " channels " + std::to_string(s.channels) + " inner " +
         std::to_string(s.inner) + " root " + std::to_string(s.root) + " segments " +
         std::to_string(s.segments) + dims;
}

inline std::int64_t steps_of(const Schedule& schedule) {
  std::int64_t steps = 0;
  for (const Phase& phase : phases_of(schedule)) steps += phase.steps;
  return steps;
}

inline bool has_root(Operation operation, Algorithm algorithm) {
  return operation == Operation::broadcast || operation == Operation::reduce ||
         algorithm == Algorithm::binomial_tree || algorithm == Algorithm::chain;
}

inline bool has_nodes(Algorithm algorithm) {
  return algorithm == Algorithm::hierarchical || algorithm == Algorithm::ring;
}

inline bool has_segments(Algorithm algorithm) {
  return algorithm == Algorithm::chain || algorithm == Algorithm::double_tree ||
         algorithm == Algorithm::pat;
}

inline bool has_dimensions(Algorithm algorithm) {
  return algorithm == Algorithm::swing || algorithm == Algorithm::bine ||
         algorithm == Algorithm::torus;
}

// Tori of so many ranks: a ring, and boxes of two and three extents.
inline std::vector<std::vector<int>> tori(int ranks) {
  std::vector<std::vector<int>> all = {{ranks}};
  for (int a = 2; a * a <= ranks; ++a) {
    if (ranks % a != 0) continue;
    all.push_back({a, ranks / a});
    if (ranks / a % 2 == 0) all.push_back({2, a, ranks / a / 2});
  }
  return all;
}

// Every schedule of `ranks` ranks that some maker can make without switches: 1 to 3 channels, every
// node size that divides the ranks, tori, 1, 2, 3 and 7 segments, roots first, middle and last.
inline std::vector<Schedule> schedules_of(int ranks) {
  std::vector<Schedule> schedules;
  const auto add = [&](Schedule schedule) {
    const bool known = std::find(schedules.begin(), schedules.end(), schedule) != schedules.end();
    if (known || !why_not(schedule).empty() || switch_count(schedule) > 0) return;
    schedules.push_back(std::move(schedule));
  };
  for (const Operation operation : operations)
    for (const Algorithm algorithm : algorithms) {
      for (int channels = 1; channels <= 3; ++channels)
        add({operation, algorithm, ranks, channels, 1, 0});
      if (has_nodes(algorithm))
        for (int inner = 2; inner <= ranks; ++inner)
          add({operation, algorithm, ranks, algorithm == Algorithm::ring ? 2 : 1, inner, 0});
      if (has_root(operation, algorithm))
        for (const int root : {ranks / 2, ranks - 1})
          add({operation, algorithm, ranks, 1, 1, root});
      if (has_segments(algorithm))
        for (const int segments : {2, 3, 7})
          add({operation, algorithm, ranks, 1, 1, ranks / 3, segments});
      if (has_dimensions(algorithm))
        for (const std::vector<int>& dims : tori(ranks))
          add({operation, algorithm, ranks, 1, 1, 0, 1, dims});
    }
  return schedules;
}

// The same for schedules in which switches take part: every node size, 1 to 9 segments.
inline std::vector<Schedule> switch_schedules_of(int ranks) {
  std::vector<Schedule> schedules;
  for (const Operation operation : operations)
    for (const Algorithm algorithm : {Algorithm::nvls, Algorithm::nvls_tree, Algorithm::sharp})
      for (int inner = 1; inner <= ranks; ++inner)
        for (const int segments : {1, 2, 5, 9}) {
          const bool rooted = operation == Operation::broadcast;
          const Schedule schedule{operation, algorithm, ranks, 1, inner, rooted ? ranks / 2 : 0,
                                  segments};
          const bool repeats = algorithm == Algorithm::nvls && inner > 1;
          if (!repeats && why_not(schedule).empty()) schedules.push_back(schedule);
        }
  return schedules;
}

}  // namespace railwright::collectives::test
