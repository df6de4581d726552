// The patterns of exchanges at distances of 2^k in a core: those of recursive doubling and of
// halving and doubling alike, so that one trace serves all of them.
//
// At distance d the places of the core form blocks of d, block j meets block j^1. Where ranks are
// folded in, a block looks after two chunks per place, after one, or, one block in all, after both
// kinds. A pattern is what blocks of one kind send to blocks of another.
#pragma once

#include <array>
#include <bit>

#include "collectives/algorithms/butterflies/fold.hpp"

namespace railwright::collectives {

class Meetings {
 public:
  enum class Kind : std::uint8_t { doubled, mixed, plain };

  explicit Meetings(int ranks) : core_(ranks) {}

  const Core& core() const { return core_; }
  int fold_in() const { return kinds * kinds * core_.rounds; }
  int fold_out() const { return fold_in() + 1; }

  // The layers of an exchange at a distance; chunks(source kind, target kind).
  template <class Chunks>
  std::vector<Layer> exchange(int distance, Chunks chunks) const {
    std::array<bool, kinds * kinds> there{};
    const int blocks = core_.size / distance, first_mixed = core_.surplus / distance;
    // Kinds ascend with the blocks: at the ends and where they change all pairs are seen.
    for (const int block : {0, first_mixed - 1, first_mixed, first_mixed + 1, blocks - 1}) {
      if (block < 0 || block >= blocks) continue;
      const Kind one = kind_of(block * distance, distance),
                 other = kind_of((block ^ 1) * distance, distance);
      there[pair_of(one, other)] = there[pair_of(other, one)] = true;
    }
    std::vector<Layer> layers;
    for (int pair = 0; pair < kinds * kinds; ++pair)
      if (there[static_cast<std::size_t>(pair)])
        layers.push_back(
            {.pattern = kinds * kinds * log_of(distance) + pair,
             .chunks = chunks(static_cast<Kind>(pair / kinds), static_cast<Kind>(pair % kinds))});
    return layers;
  }

  // Chunks of a block of the kind, one per rank.
  std::int64_t parts(Kind kind, int distance) const {
    if (kind == Kind::doubled) return 2 * std::int64_t{distance};
    return distance + (kind == Kind::mixed ? core_.surplus % distance : 0);
  }

  void connections(int pattern, const ConnectionSink& sink) const {
    if (pattern == fold_in() || pattern == fold_out()) {
      for (int inside = 0; inside < 2 * core_.surplus; inside += 2)
        pattern == fold_in() ? sink(inside + 1, inside, 0) : sink(inside, inside + 1, 0);
      return;
    }
    const int distance = 1 << pattern / (kinds * kinds);
    const auto pair = static_cast<std::size_t>(pattern % (kinds * kinds));
    for (int block = 0; block < core_.size; block += distance) {
      if (pair_of(kind_of(block, distance), kind_of(block ^ distance, distance)) != pair) continue;
      for (int place = block; place < block + distance; ++place)
        sink(core_.rank_of(place), core_.rank_of(place ^ distance), 0);
    }
  }

 private:
  static constexpr int kinds = 3;

  static std::size_t pair_of(Kind source, Kind target) {
    return static_cast<std::size_t>(source) * kinds + static_cast<std::size_t>(target);
  }
  static int log_of(int distance) { return std::countr_zero(static_cast<unsigned>(distance)); }
  // Of the block that begins at a place.
  Kind kind_of(int first, int distance) const {
    if (first + distance <= core_.surplus) return Kind::doubled;
    return first < core_.surplus ? Kind::mixed : Kind::plain;
  }

  Core core_;
};

}  // namespace railwright::collectives
