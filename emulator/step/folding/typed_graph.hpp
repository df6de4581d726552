// What folding refines: a step as a typed graph. Private to the emulator.
//
// Elements are links, or as many links of a bundle as nothing tells apart from the start: a fault,
// lanes of its own, or a route that takes just this one makes a link an element of its own.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "collectives/bundle_loads.hpp"
#include "emulator/step/folding.hpp"
#include "emulator/step/folding/bundle_table.hpp"
#include "emulator/step/folding/colours.hpp"
#include "emulator/step/folding/periods.hpp"

namespace railwright::emulator {

struct TypedGraph {
  struct Use {
    int end;     // element
    int weight;  // into `weights`: what it puts on each of the links, phase by phase
  };
  struct Element {
    topology::LinkId first;
    int links = 1;
    int bundle = -1;  // of several links: which one; its other links may be elements themselves
  };
  // Sends of one rank to one stage; `source` ascends.
  struct Sending {
    std::int64_t source, target;
  };

  std::vector<Colour> ranks, elements, meetings;  // as things are at the start
  std::vector<Colour> weights;
  std::vector<Element> element;
  std::array<std::size_t, dimension_count> first_group{};  // meetings: groups by dimension,
  std::size_t first_sending = 0;                           // then sends
  std::vector<Sending> sendings;
  std::vector<std::size_t> first_use;  // per meeting, plus the end: into `uses`
  std::vector<Use> uses;
  BundleTable element_of;                   // -1: unused, -2: several
  std::map<int, std::vector<int>> divided;  // those several, by bundle
};

// Nothing where the routes of all exchanges together take too much memory. With `periods` of their
// seats alone; then nothing, too, where collectives do not do the same in all that these stand for.
std::optional<TypedGraph> typed_graph_of(const Programs& programs, const Plan& plan,
                                         const LiveRoutes& routes,
                                         const topology::Calibration& calibration,
                                         const StepFaults& faults, const Periods* periods);
// Uses of bundles become those of the elements that these are made of.
void find_elements(TypedGraph& graph, const topology::Router& router, const StepFaults& faults);
inline constexpr std::size_t most_uses = 400'000'000;  // 8 bytes each

}  // namespace railwright::emulator
