// What folding refines: a step as a typed graph. Private to the emulator.
//
// Elements are links, or as many links of a bundle as nothing tells apart from the start: a fault,
// lanes of its own, or a route that takes just this one makes a link an element of its own.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "collectives/bundle_loads.hpp"
#include "emulator/step/folding.hpp"

namespace railwright::emulator {

using Colour = std::uint64_t;

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the finalizer. Two
// different elements share a colour with a chance of some 2^-64 per pair.
inline Colour mixed(Colour value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
inline Colour joined(Colour one, Colour other) { return mixed(one ^ mixed(other)); }
// Sums of equal terms in another order differ in the last bits: those are left out.
inline Colour colour_of(double value) { return std::bit_cast<Colour>(value * (1 + 0x1p-50)) >> 12; }

struct TypedGraph {
  struct Use {
    int end;     // element; in the list of an element: the meeting
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
  std::vector<std::size_t> first_user;  // per element, plus the end: into `users`
  std::vector<Use> users;
  std::vector<int> element_of;              // per bundle of the router; -1: unused, -2: several
  std::map<int, std::vector<int>> divided;  // those several, by bundle
};

// Nothing where the routes of all exchanges together take too much memory.
std::optional<TypedGraph> typed_graph_of(const Programs& programs, const Plan& plan,
                                         const LiveRoutes& routes,
                                         const topology::Calibration& calibration,
                                         const StepFaults& faults);
inline constexpr std::size_t most_uses = 400'000'000;  // 8 bytes each, twice

// Numbers colours in the order in which they are asked for.
class ColourNumbers {
 public:
  int number_of(Colour colour);
  int count() const { return count_; }

 private:
  void grow();
  struct Slot {
    Colour colour = 0;
    int number = -1;
  };
  std::vector<Slot> slots_ = std::vector<Slot>(64);
  int count_ = 0;
};

}  // namespace railwright::emulator
