// Which ranks cannot be told apart, and which links. Private to the emulator.
//
// A typed graph: ranks, exchanges (each group of each dimension, each pair of ranks that send) and
// links (typed_graph.hpp); a rank is a member, a source or a target of an exchange, an exchange
// loads a link with a consumption, in each epoch of dead links anew. Initial colours hold all that
// differs from the start: stage and program, kind and speed of the accelerator; latencies and bytes
// of the phases; capacity and faults of the link. Colour refinement gives the coarsest equitable
// partition: elements of one class see equally many elements of every class in every relation. By
// induction over events, all ranks of a class then do the same things at the same times and all
// transfers of a class have equal rates, so that a class may be run once (Boldi and Vigna,
// Fibrations of graphs, 2002, for the principle).
//
// A transfer class t with |t| transfers loads each link of class l with
//   sum over transfers of a = |t| / |l| x (sum over links of l of one transfer's a),
// which is what the quotient's network sees.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "collectives/cost.hpp"
#include "emulator/step/folding/bundle_table.hpp"
#include "emulator/step/live_routes.hpp"
#include "emulator/step/programs.hpp"

namespace railwright::emulator {

// What the accelerator under a rank is like.
struct RankTraits {
  int kind = 0;    // of accelerator
  int course = 0;  // of its speed: into Traits::courses
};
struct Traits {
  std::vector<RankTraits> ranks;
  std::vector<SpeedCourse> courses;  // each once; 0: always at full speed
};
// Of these ranks, in their order.
Traits traits_of(const std::vector<std::int64_t>& ranks, const Plan& plan,
                 const topology::Cluster& cluster, const StepFaults& faults);

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
  // Classes of links; unfolded: none, every link is on its own. The first link that a class names
  // stands for it.
  struct LinkClasses {
    std::vector<collectives::LinkSet> sets;
    BundleTable of_bundle;  // -1: unused, -2: in several classes
    struct Part {
      int set;
      int links;  // of the bundle
    };
    std::map<int, std::vector<Part>> parts;  // of bundles in several classes
    std::map<topology::LinkId, int> named;   // the set that a link stands for
    // Per period of the router, where only bundles of some are in `of_bundle`: the period whose
    // bundles are there in place of its own.
    std::vector<int> stands_for;
  };
  LinkClasses links;

  bool folds_links() const { return !links.sets.empty(); }
  // Those links of the bundle that are in one class, class after class.
  template <class Do>
  void for_parts(topology::BundleId bundle, int links_in_bundle, Do act) const {
    const int set = links.of_bundle[bundle.index];
    if (set >= 0) return act(set, links_in_bundle);
    if (set == -2)
      for (const auto& [part, count] : links.parts.at(bundle.index)) act(part, count);
  }
  topology::LinkId link_of(int set) const { return links.sets[set].lowest.front(); }
  // Whether the link is on its own or stands for its class.
  bool stands(topology::LinkId link) const;
  // Of the class that the link stands for; 1 where it stands for none.
  std::int64_t count_of(topology::LinkId link) const;
};

// Every rank, group and link on its own.
Folding unfolded(const Programs& programs);
// Refused where the routes of all exchanges together take too much memory, or where more ranks have
// to be looked at.
Result<Folding> folded(const Programs& programs, const Plan& plan, const LiveRoutes& routes,
                       const topology::Calibration& calibration, const StepFaults& faults,
                       std::int64_t most_looked_at);

}  // namespace railwright::emulator
