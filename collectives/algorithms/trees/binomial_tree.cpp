#include <array>
#include <bit>
#include <optional>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::broadcast, Operation::reduce};

int rounds(const Schedule& schedule) {
  return std::bit_width(static_cast<unsigned>(schedule.ranks - 1));
}

std::int64_t chunk_count(const Schedule&) { return 1; }

// Up the tree distances grow, down they shrink: far hops, which cross nodes, are the fewest.
struct Round {
  bool up = false;
  int distance = 1;
};

Round round_of(const Schedule& schedule, int phase) {
  const int count = rounds(schedule);
  if (schedule.operation != Operation::broadcast) {
    if (phase < count) return {true, 1 << phase};
    phase -= count;
  }
  return {false, 1 << (count - 1 - phase)};
}

std::vector<Phase> phases(const Schedule& schedule) {
  const int count = rounds(schedule) * (schedule.operation == Operation::all_reduce ? 2 : 1);
  std::vector<Phase> phases;
  for (int phase = 0; phase < count; ++phase) {
    const Round round = round_of(schedule, phase);
    const std::string name = round.up ? "reduce at distance " : "broadcast at distance ";
    phases.push_back({name + std::to_string(round.distance), 1, true});
  }
  return phases;
}

// Numbers count from the root. Inner numbers are multiples of twice the distance; each meets the
// number one distance above it.
struct Pair {
  int inner, outer;
};

std::optional<Pair> pair_of(const Schedule& schedule, int rank, int distance) {
  const int number = modulo(rank - schedule.root, schedule.ranks);
  const int inside = number % (2 * distance);
  if (inside != 0 && inside != distance) return std::nullopt;
  const Pair pair{number - inside, number - inside + distance};
  if (pair.outer >= schedule.ranks) return std::nullopt;
  return pair;
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t, bool sending,
               std::vector<Send>& sends) {
  const Round round = round_of(schedule, phase);
  const auto pair = pair_of(schedule, rank, round.distance);
  if (!pair) return;
  const auto rank_of = [&](int number) { return modulo(number + schedule.root, schedule.ranks); };
  const int source = rank_of(round.up ? pair->outer : pair->inner);
  const int target = rank_of(round.up ? pair->inner : pair->outer);
  if (rank != (sending ? source : target)) return;
  sends.push_back({source, target, {0, 1}, round.up ? Action::reduce : Action::copy, 0});
}

// Broadcast and reduce ceil(log2 p) (latency + n / bandwidth); all-reduce twice that: up, then
// down.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const int directions = schedule.operation == Operation::all_reduce ? 2 : 1;
  return directions * rounds(schedule) * step_time(hop, size.count);
}

std::vector<Layer> layers(const Schedule&, int phase) { return {{.pattern = phase}}; }

void connections(const Schedule& schedule, int phase, const ConnectionSink& sink) {
  const auto [up, distance] = round_of(schedule, phase);
  for (std::int64_t number = distance; number < schedule.ranks; number += 2 * distance) {
    const int outer = modulo(number + schedule.root, schedule.ranks);
    const int inner = modulo(number - distance + schedule.root, schedule.ranks);
    up ? sink(outer, inner, 0) : sink(inner, outer, 0);
  }
}

constexpr Maker maker{.operations = operations,
                      .refusal = no_refusal,
                      .chunk_count = chunk_count,
                      .channel_count = one_channel,
                      .own_part = part_of_rank,
                      .phases = phases,
                      .busiest_step = first_step,
                      .waiting_steps = all_steps,
                      .sends = add_sends,
                      .closed_form = closed_form,
                      .layers = layers,
                      .connections = connections};

}  // namespace

const Maker& binomial_tree_maker() { return maker; }

}  // namespace railwright::collectives
