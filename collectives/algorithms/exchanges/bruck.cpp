#include <algorithm>
#include <array>
#include <bit>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_gather, Operation::all_to_all};

bool exchanges(const Schedule& schedule) { return schedule.operation == Operation::all_to_all; }

int rounds(const Schedule& schedule) {
  return std::bit_width(static_cast<unsigned>(schedule.ranks - 1));
}

std::int64_t chunk_count(const Schedule& schedule) {
  const std::int64_t ranks = schedule.ranks;
  return exchanges(schedule) ? ranks * ranks : ranks;
}

// An all-gather begins near, with few blocks; an all-to-all goes far first, so that what a rank
// passes on of one source are neighbouring blocks.
int distance_of(const Schedule& schedule, int phase) {
  return exchanges(schedule) ? 1 << (rounds(schedule) - 1 - phase) : 1 << phase;
}

// Of an all-to-all in one step: sources whose blocks a rank passes on lie 0, 2 d, 4 d .. before it.
int sources_of(const Schedule& schedule, int distance) {
  const int beyond = schedule.ranks - 1 - distance;
  return beyond / (2 * distance) + 1;
}

std::vector<Phase> phases(const Schedule& schedule) {
  std::vector<Phase> phases;
  for (int phase = 0; phase < rounds(schedule); ++phase)
    phases.push_back(
        {"exchange at distance " + std::to_string(distance_of(schedule, phase)), 1, true});
  return phases;
}

// Blocks first .. first + count - 1 of a row of `ranks` chunks that begins at `row`; after the last
// block comes block 0.
struct Blocks {
  std::int64_t row = 0;
  int first = 0, count = 0;
};

// A message goes in pieces, one behind the other on the only channel.
void add_piece(const Schedule& schedule, int source, int target, Blocks blocks,
               std::vector<Send>& sends) {
  const int beyond = std::max(0, blocks.first + blocks.count - schedule.ranks);
  const ChunkRange chunks{blocks.row + blocks.first, blocks.count - beyond};
  sends.push_back({source, target, chunks, Action::copy, 0});
  if (beyond > 0) sends.push_back({source, target, {blocks.row, beyond}, Action::copy, 0});
}

// What a rank has collected: its own block and those of the ranks behind it, at most what is
// missing at `distance`.
void add_gathered(const Schedule& schedule, int rank, int distance, std::vector<Send>& sends) {
  const int count = std::min(distance, schedule.ranks - distance);
  const Blocks blocks{0, modulo(rank - count + 1, schedule.ranks), count};
  const int target = modulo(std::int64_t{rank} + distance, schedule.ranks);
  add_piece(schedule, rank, target, blocks, sends);
}

// Block (s, d) takes the far hops of its way d - s first: after them it waits at a multiple of
// 2 x distance behind its source and goes on if distance or more is left.
void add_passed_on(const Schedule& schedule, int rank, int distance, std::vector<Send>& sends) {
  const int target = modulo(std::int64_t{rank} + distance, schedule.ranks);
  for (int i = 0; i < sources_of(schedule, distance); ++i) {
    const int behind = 2 * distance * i;
    const std::int64_t origin = modulo(rank - behind, schedule.ranks);
    const int count = std::min(distance, schedule.ranks - behind - distance);
    add_piece(schedule, rank, target, {origin * schedule.ranks, target, count}, sends);
  }
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t, bool sending,
               std::vector<Send>& sends) {
  const int distance = distance_of(schedule, phase);
  const int source = sending ? rank : modulo(rank - distance, schedule.ranks);
  if (exchanges(schedule))
    add_passed_on(schedule, source, distance, sends);
  else
    add_gathered(schedule, source, distance, sends);
}

// Bruck, Ho, Kipnis, Upfal, Weathersby 1997. d = 1, 2, 4 .. below p, L = ceil(log2 p) of them:
//   all-gather   sum of latency + ceil(min(d, p-d) n / p) / bandwidth
//   all-to-all   sum of latency + b(d) ceil(n / p) / bandwidth, b(d) = the numbers below p that
//                have bit d set, about p / 2
// A message in pieces may be some bytes longer.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  Seconds total;
  for (int distance = 1; distance < schedule.ranks; distance *= 2) {
    const int full = schedule.ranks / (2 * distance), rest = schedule.ranks % (2 * distance);
    const auto set = static_cast<std::uint64_t>(full * distance + std::max(0, rest - distance));
    const int gathered = std::min(distance, schedule.ranks - distance);
    total += step_time(hop, exchanges(schedule) ? set * largest_bytes(schedule, 1, size)
                                                : largest_bytes(schedule, gathered, size));
  }
  return total;
}

constexpr Maker maker{operations, no_refusal, chunk_count, one_channel, part_of_rank,
                      phases,     first_step, all_steps,   add_sends,   closed_form};

}  // namespace

const Maker& bruck_maker() { return maker; }

}  // namespace railwright::collectives
