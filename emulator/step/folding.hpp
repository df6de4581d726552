// Which ranks cannot be told apart, and which links. Private to the emulator.
//
// A typed graph: ranks, exchanges (each group of each dimension, each pair of ranks that send) and
// links; a rank is a member, a source or a target of an exchange, an exchange loads a link with a
// consumption. Initial colours hold all that differs from the start: stage and program, kind and
// speed of the accelerator; latencies and bytes of the phases; capacity and faults of the link.
// Colour refinement gives the coarsest equitable partition: elements of one class see equally many
// elements of every class in every relation. By induction over events, all ranks of a class then do
// the same things at the same times and all transfers of a class have equal rates, so that a class
// may be run once (Boldi and Vigna, Fibrations of graphs, 2002, for the principle).
//
// A transfer class t with |t| transfers loads each link of class l with
//   sum over transfers of a = |t| / |l| x (sum over links of l of one transfer's a),
// which is what the quotient's network sees.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/faults.hpp"
#include "emulator/step/programs.hpp"
#include "topology/routing.hpp"

namespace railwright::emulator {

// What the accelerator under a rank is like.
struct RankTraits {
  int kind = 0;         // of accelerator
  double slowdown = 1;  // 1 / speed
};
std::vector<RankTraits> traits_of(const Plan& plan, const topology::Cluster& cluster,
                                  const StepFaults& faults);

struct Folding {
  // Equal things get equal numbers, in the order of their first members; `first` is that member.
  struct Classes {
    std::vector<int> of;              // per member
    std::vector<std::int64_t> first;  // per class
    std::vector<std::int64_t> size;
    int count() const { return static_cast<int>(first.size()); }
  };
  Classes ranks;
  std::array<Classes, dimension_count> groups;
  // Per link of the graph: the lowest link of its class, and how many links that class has. Empty:
  // every link on its own.
  std::vector<int> link_first;
  std::vector<int> link_count;

  topology::LinkId first_of(topology::LinkId link) const {
    return link_first.empty() ? link : topology::LinkId{link_first[link.index]};
  }
  int count_of(topology::LinkId link) const {
    return link_first.empty() ? 1 : link_count[link.index];
  }
};

// Every rank, group and link on its own.
Folding unfolded(const Programs& programs);
// Refused where the routes of all exchanges together take too much memory.
Result<Folding> folded(const Programs& programs, const Plan& plan, const topology::Router& router,
                       const topology::Calibration& calibration, const StepFaults& faults);

}  // namespace railwright::emulator
