#include <array>
#include <bit>
#include <optional>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather};

// The core is the largest power of two in p. Of the first 2 x surplus ranks the odd ones stay
// outside: each folds into the even rank below it at the beginning and out of it at the end.
struct Core {
  int size = 1, rounds = 0, surplus = 0;
};

Core core_of(const Schedule& schedule) {
  const auto size = std::bit_floor(static_cast<unsigned>(schedule.ranks));
  return {static_cast<int>(size), std::countr_zero(size), schedule.ranks - static_cast<int>(size)};
}

bool folds(const Core& core, int rank) { return rank < 2 * core.surplus; }
bool is_outside(const Core& core, int rank) { return folds(core, rank) && rank % 2 == 1; }

int reversed_bits(int value, int bits) {
  int reversed = 0;
  for (int bit = 0; bit < bits; ++bit) reversed |= ((value >> bit) & 1) << (bits - 1 - bit);
  return reversed;
}

// Places number the core so that halving always parts the blocks at the largest distance. An
// all-reduce may leave any block anywhere, so it reverses the bits of its places: the first and
// largest exchange is then with the nearest rank.
int mirrored(const Schedule& schedule, const Core& core, int place) {
  const bool free_choice = schedule.operation == Operation::all_reduce;
  return free_choice ? reversed_bits(place, core.rounds) : place;
}

int rank_at(const Schedule& schedule, const Core& core, int place) {
  const int index = mirrored(schedule, core, place);
  return index < core.surplus ? 2 * index : index + core.surplus;
}

int place_of(const Schedule& schedule, const Core& core, int rank) {
  const int index = folds(core, rank) ? rank / 2 : rank - core.surplus;
  return mirrored(schedule, core, index);
}

// An all-reduce cuts the buffer into one chunk per place. The others have one chunk per rank, and a
// place also looks after the chunk of the rank that folded into it.
std::int64_t chunk_total(const Schedule& schedule) {
  return schedule.operation == Operation::all_reduce ? core_of(schedule).size : schedule.ranks;
}

std::int64_t first_chunk(const Schedule& schedule, const Core& core, int place) {
  if (schedule.operation == Operation::all_reduce) return place;
  return place < core.surplus ? 2 * place : place + core.surplus;
}

ChunkRange chunks_of(const Schedule& schedule, const Core& core, int place, int places) {
  const std::int64_t first = first_chunk(schedule, core, place);
  return {first, first_chunk(schedule, core, place + places) - first};
}

enum class Kind : std::uint8_t { fold_in, halving, doubling, fold_out };
struct Stage {
  Kind kind = Kind::fold_in;
  int round = 0;
};

int stage_count(const Schedule& schedule) {
  const Core core = core_of(schedule);
  const int sweeps = schedule.operation == Operation::all_reduce ? 2 : 1;
  return sweeps * core.rounds + (core.surplus > 0 ? 2 : 0);
}

Stage stage_of(const Schedule& schedule, const Core& core, int phase) {
  if (core.surplus > 0 && phase == 0) return {Kind::fold_in, 0};
  int round = core.surplus > 0 ? phase - 1 : phase;
  if (schedule.operation != Operation::all_gather) {
    if (round < core.rounds) return {Kind::halving, round};
    round -= core.rounds;
  }
  if (schedule.operation != Operation::reduce_scatter && round < core.rounds)
    return {Kind::doubling, round};
  return {Kind::fold_out, 0};
}

int distance_of(const Core& core, Stage stage) {
  return stage.kind == Kind::halving ? core.size >> (stage.round + 1) : 1 << stage.round;
}

std::string name_of(const Schedule& schedule, const Core& core, Stage stage) {
  if (stage.kind == Kind::fold_in) return "fold the surplus ranks in";
  if (stage.kind == Kind::fold_out) return "fold the surplus ranks out";
  const int distance = mirrored(schedule, core, distance_of(core, stage));
  const std::string name = stage.kind == Kind::halving ? "halving" : "doubling";
  return name + " at distance " + std::to_string(distance);
}

std::vector<Phase> phases(const Schedule& schedule) {
  const Core core = core_of(schedule);
  std::vector<Phase> phases;
  for (int phase = 0; phase < stage_count(schedule); ++phase)
    phases.push_back({name_of(schedule, core, stage_of(schedule, core, phase)), 1, true});
  return phases;
}

Send fold_in(const Schedule& schedule, int outside) {
  if (schedule.operation == Operation::all_gather)
    return {outside, outside - 1, {outside, 1}, Action::copy, 0};
  return {outside, outside - 1, {0, chunk_total(schedule)}, Action::reduce, 0};
}

Send fold_out(const Schedule& schedule, int outside) {
  if (schedule.operation == Operation::reduce_scatter)
    return {outside - 1, outside, {outside, 1}, Action::copy, 0};
  return {outside - 1, outside, {0, chunk_total(schedule)}, Action::copy, 0};
}

Send exchange(const Schedule& schedule, const Core& core, Stage stage, int place) {
  const int distance = distance_of(core, stage);
  const int partner = place ^ distance;
  const bool halving = stage.kind == Kind::halving;
  // Halving gives away the partner's half, doubling what has been gathered so far.
  const int first = (halving ? partner : place) & ~(distance - 1);
  return {rank_at(schedule, core, place), rank_at(schedule, core, partner),
          chunks_of(schedule, core, first, distance), halving ? Action::reduce : Action::copy, 0};
}

// The one send in which `rank` takes part, as source or as target.
std::optional<Send> send_with(const Schedule& schedule, int rank, int phase, bool sending) {
  const Core core = core_of(schedule);
  const Stage stage = stage_of(schedule, core, phase);
  if (stage.kind == Kind::fold_in || stage.kind == Kind::fold_out) {
    if (!folds(core, rank)) return std::nullopt;
    const int outside = rank | 1;
    const Send send =
        stage.kind == Kind::fold_in ? fold_in(schedule, outside) : fold_out(schedule, outside);
    if (rank != (sending ? send.source : send.target)) return std::nullopt;
    return send;
  }
  if (is_outside(core, rank)) return std::nullopt;
  const int place = place_of(schedule, core, rank);
  return exchange(schedule, core, stage, sending ? place : place ^ distance_of(core, stage));
}

void sends_from(const Schedule& schedule, int rank, int phase, std::int64_t,
                std::vector<Send>& sends) {
  if (const auto send = send_with(schedule, rank, phase, true)) sends.push_back(*send);
}

void sends_to(const Schedule& schedule, int rank, int phase, std::int64_t,
              std::vector<Send>& sends) {
  if (const auto send = send_with(schedule, rank, phase, false)) sends.push_back(*send);
}

// q = 2^k the core, C chunks, h(d) the chunks of the first d places (the fullest ones):
//   one sweep   sum over d = 1, 2, .. q/2 of (latency + ceil(h(d) n / C) / bandwidth)
//   all-reduce two sweeps, reduce-scatter and all-gather one; with a surplus two folds more:
//   latency + n / bandwidth where whole buffers move, latency + ceil(n / p) / bandwidth for parts.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const Core core = core_of(schedule);
  Seconds sweep;
  for (int distance = 1; distance < core.size; distance *= 2)
    sweep += step_time(hop, largest_bytes(schedule, first_chunk(schedule, core, distance), size));
  const bool both = schedule.operation == Operation::all_reduce;
  const Seconds total = (both ? 2 : 1) * sweep;
  if (core.surplus == 0) return total;
  const Seconds whole = step_time(hop, size.count);
  return total + whole + (both ? whole : step_time(hop, largest_bytes(schedule, 1, size)));
}

constexpr Maker maker{operations, no_refusal, chunk_total, one_channel, part_of_rank, phases,
                      first_step, all_steps,  sends_from,  sends_to,    closed_form};

}  // namespace

const Maker& halving_doubling_maker() { return maker; }

}  // namespace railwright::collectives
