#include <algorithm>
#include <array>
#include <bit>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::reduce_scatter, Operation::all_gather};

// Every block has a binomial tree of its own, all of one shape, and the trees send together: hops
// at one distance are one message. An all-gather sends far first, when a rank has few blocks to
// pass on; a reduce-scatter is the same backwards. (Jeaugey: PAT, arXiv 2506.20252.)
int rounds(const Schedule& schedule) {
  return std::bit_width(static_cast<unsigned>(schedule.ranks - 1));
}

bool is_power_of_two(const Schedule& schedule) {
  return std::has_single_bit(static_cast<unsigned>(schedule.ranks));
}

// Blocks that pass at this distance: those 0, 2 d, 4 d .. ranks behind their sender, while the
// target is still behind nobody who has the block.
int blocks_at(const Schedule& schedule, int distance) {
  return (schedule.ranks - 1 - distance) / (2 * distance) + 1;
}

// The largest exchange is cut into `segments` messages, and none of the others may be larger.
int most_blocks(const Schedule& schedule) {
  const int blocks = blocks_at(schedule, 1);
  return (blocks + schedule.segments - 1) / schedule.segments;
}

int distance_of(const Schedule& schedule, int phase) {
  const bool gathering = schedule.operation == Operation::all_gather;
  return 1 << (gathering ? rounds(schedule) - 1 - phase : phase);
}

std::string refusal(const Schedule& schedule) {
  if (schedule.segments >= 1) return {};
  return "pat: " + std::to_string(schedule.segments) + " segments carry nothing; write 1 or more";
}

std::int64_t chunk_count(const Schedule& schedule) { return schedule.ranks; }

// The blocks of a message are those of one residue class, which lie side by side when ranks are
// sorted by their reversed bits. That needs a power of two; else a message is sent block
// after block.
std::int64_t chunk_of(const Schedule& schedule, int rank) {
  if (!is_power_of_two(schedule)) return rank;
  int reversed = 0;
  for (int bit = rounds(schedule); bit > 0; --bit, rank >>= 1) reversed = 2 * reversed + rank % 2;
  return reversed;
}

ChunkRange own_part(const Schedule& schedule, int rank) { return {chunk_of(schedule, rank), 1}; }

std::vector<Phase> phases(const Schedule& schedule) {
  std::vector<Phase> phases;
  for (int phase = 0; phase < rounds(schedule); ++phase) {
    const int distance = distance_of(schedule, phase), most = most_blocks(schedule);
    const int blocks = blocks_at(schedule, distance), steps = (blocks + most - 1) / most;
    phases.push_back(
        {"exchange at distance " + std::to_string(distance), steps, blocks % most == 0});
  }
  return phases;
}

// A rank cuts its message and sends piece after piece.
std::int64_t waiting_steps(const Schedule&, int, std::int64_t) { return 1; }

// The sends of one message of an all-gather from `rank`, or of a reduce-scatter to it.
void add_message(const Schedule& schedule, int rank, int phase, std::int64_t step,
                 std::vector<Send>& sends) {
  const bool gathering = schedule.operation == Operation::all_gather;
  const int distance = distance_of(schedule, phase), most = most_blocks(schedule);
  const int other = modulo(std::int64_t{rank} + distance, schedule.ranks);
  const int source = gathering ? rank : other, target = gathering ? other : rank;
  const Action action = gathering ? Action::copy : Action::reduce;
  const auto begin = static_cast<int>(step) * most;
  const int count = std::min(most, blocks_at(schedule, distance) - begin);
  if (is_power_of_two(schedule)) {
    const std::int64_t first = chunk_of(schedule, rank % (2 * distance)) + begin;
    return sends.push_back({source, target, {first, count}, action, 0});
  }
  for (int i = 0; i < count; ++i) {
    const std::int64_t owner =
        modulo(rank - 2 * distance * std::int64_t{begin + i}, schedule.ranks);
    sends.push_back({source, target, {owner, 1}, action, 0});
  }
}

// The rank at whose end a message begins in an all-gather.
int origin(const Schedule& schedule, int rank, int phase, bool sending) {
  const bool itself = sending == (schedule.operation == Operation::all_gather);
  return itself ? rank : modulo(rank - distance_of(schedule, phase), schedule.ranks);
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  add_message(schedule, origin(schedule, rank, phase, sending), phase, step, sends);
}

// Of all messages at one distance; blocks in one range are rounded up together.
std::uint64_t bytes_at(const Schedule& schedule, int distance, Bytes size) {
  const int blocks = blocks_at(schedule, distance);
  const int range = is_power_of_two(schedule) ? std::min(most_blocks(schedule), blocks) : 1;
  const auto ranges = static_cast<std::uint64_t>(blocks / range);
  return ranges * largest_bytes(schedule, range, size) +
         largest_bytes(schedule, blocks % range, size);
}

// d = 1, 2, 4 .. below p, b(d) blocks pass at each:
//   sum of latency + ceil(b(d) n / p) / bandwidth
// where messages of a distance do not wait for each other, so that cutting them costs nothing here;
// NCCL's own formula adds 2.8 us per rank for the linear part.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  Seconds total;
  for (int distance = 1; distance < schedule.ranks; distance *= 2)
    total += step_time(hop, bytes_at(schedule, distance, size));
  return total;
}

constexpr Maker maker{operations, refusal,    chunk_count,   one_channel, own_part,
                      phases,     first_step, waiting_steps, add_sends,   closed_form};

}  // namespace

const Maker& pat_maker() { return maker; }

}  // namespace railwright::collectives
