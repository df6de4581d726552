// Which of several allocations a planned job gets: each is emulated beside the jobs that run, on a
// cluster whose links are as slow as runs have reported them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/console.hpp"
#include "emulator/emulator.hpp"

namespace railwright::coordinator {

struct Allocation {
  int first_node = 0;
  Seconds step, alone;  // beside the others, and without them
  double slowdown = 0;  // of the others, summed: 0.5 = two jobs that take a quarter longer each
  bool operator==(const Allocation&) const = default;
};

using SlowLinks = std::map<std::string, double>;  // name -> share of its capacity that it carries

// The same plan on the nodes from `first_node` on.
emulator::Plan moved(emulator::Plan plan, const topology::Cluster& cluster, int first_node);

// As many as `first_nodes`, in their order. Links that the cluster does not know are left out.
Result<std::vector<Allocation>> price_allocations(const topology::Cluster& cluster,
                                                  const emulator::Plan& plan,
                                                  const std::vector<int>& first_nodes,
                                                  const std::vector<emulator::Plan>& others,
                                                  const SlowLinks& slow);

// The one with the smallest sum of its own step, in units of the fastest, and what it costs the
// others. The first counts unless another is better by more than 2 %.
std::size_t best_of(const std::vector<Allocation>& allocations);

Json to_json(const std::vector<Allocation>& allocations, std::size_t best);

}  // namespace railwright::coordinator
