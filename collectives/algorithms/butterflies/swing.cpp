#include "collectives/algorithms/butterflies/swing.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "collectives/algorithms/butterflies/negabinary.hpp"

namespace railwright::collectives {
namespace swing {
namespace {

// One dimension of the torus.
struct Axis {
  int stride = 1, extent = 1;
  bool mirrored = false;

  int bits() const { return std::countr_zero(static_cast<unsigned>(extent)); }
  int place_of(int index) const {
    const int coordinate = index / stride % extent;
    return mirrored ? modulo(-coordinate, extent) : coordinate;
  }
  int moved(int index, int place) const {
    const int coordinate = mirrored ? modulo(-place, extent) : place;
    return index + (coordinate - index / stride % extent) * stride;
  }
};

int axes(const Schedule& schedule) {
  return schedule.dims.empty() ? 1 : static_cast<int>(schedule.dims.size());
}

Axis axis_at(const Schedule& schedule, int copy, int number) {
  if (schedule.dims.empty()) return {1, Core(schedule.ranks).size, false};
  Axis axis{1, schedule.dims[number], copy >= axes(schedule)};
  for (int i = 0; i < number; ++i) axis.stride *= schedule.dims[i];
  return axis;
}

// Visits the rounds of a copy in their order: level by level, the dimensions in turn; small
// dimensions are done earlier. `visit` returns whether to go on.
template <class Visit>
void for_rounds(const Schedule& schedule, int copy, Visit visit) {
  const int count = axes(schedule);
  bool any = true;
  for (int level = 0; any; ++level) {
    any = false;
    for (int i = 0; i < count; ++i) {
      const Axis axis = axis_at(schedule, copy, (copy + i) % count);
      if (level >= axis.bits()) continue;
      any = true;
      if (!visit(axis, level)) return;
    }
  }
}

int crossed_levels(const Axis& axis, int index) {
  return static_cast<int>(negabinary::crossed_levels(axis.place_of(index), axis.bits()));
}

struct Meeting {
  Axis axis;
  int level = 0;
};

Meeting meeting_at(const Schedule& schedule, int copy, int round) {
  if (axes(schedule) == 1) return {axis_at(schedule, copy, 0), round};
  Meeting meeting;
  for_rounds(schedule, copy, [&](const Axis& axis, int level) {
    meeting = {axis, level};
    return round-- > 0;
  });
  return meeting;
}

}  // namespace

int copies(const Schedule& schedule) {
  const bool all_ports = schedule.operation == Operation::all_reduce && !schedule.dims.empty();
  return all_ports ? 2 * axes(schedule) : 1;
}

int partner(const Schedule& schedule, int copy, int index, int round) {
  const auto [axis, level] = meeting_at(schedule, copy, round);
  return axis.moved(index, negabinary::partner(axis.place_of(index), level, axis.extent));
}

// A block is numbered by the levels that the way to its owner crosses, the first round on top.
Blocks kept(const Schedule& schedule, int copy, int index, int round) {
  int block = 0, rounds = 0;
  if (axes(schedule) == 1) {
    const Axis axis = axis_at(schedule, copy, 0);
    rounds = axis.bits();
    block = reversed_bits(crossed_levels(axis, index), rounds);
  } else {
    for_rounds(schedule, copy, [&](const Axis& axis, int level) {
      block = 2 * block + ((crossed_levels(axis, index) >> level) & 1);
      ++rounds;
      return true;
    });
  }
  const int count = 1 << (rounds - 1 - round);
  return {block & ~(count - 1), count};
}

int distance(const Schedule& schedule, int round) {
  return std::abs(negabinary::reach(meeting_at(schedule, 0, round).level));
}

std::string refusal(const Schedule& schedule) {
  const std::string name = to_string(schedule.algorithm);
  std::int64_t product = 1;
  for (const int extent : schedule.dims) {
    if (extent < 1 || !std::has_single_bit(static_cast<unsigned>(extent)))
      return fmt::format("{}: {} of the dimensions {} is no power of two; torus takes any extent",
                         name, extent, fmt::join(schedule.dims, "x"));
    if (product <= schedule.ranks) product *= extent;
  }
  if (schedule.dims.empty() || product == schedule.ranks) return {};
  return fmt::format("{}: dimensions {} do not hold {} ranks", name, fmt::join(schedule.dims, "x"),
                     schedule.ranks);
}

}  // namespace swing

namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather};

// Blocks lie in the order of the pairing, so those of folded ranks would not lie beside their
// owners'.
std::string refusal(const Schedule& schedule) {
  const bool power = std::has_single_bit(static_cast<unsigned>(schedule.ranks));
  if (!power && schedule.operation != Operation::all_reduce)
    return fmt::format(
        "swing: {} of {} ranks; parts need a power of two: bine and halving_doubling do without",
        to_string(schedule.operation), schedule.ranks);
  return swing::refusal(schedule);
}

constexpr Pairing pairing{swing::copies, swing::partner, swing::kept, swing::distance};
constexpr Maker maker = butterfly_maker<pairing>(operations, refusal);

}  // namespace

const Maker& swing_maker() { return maker; }

}  // namespace railwright::collectives
