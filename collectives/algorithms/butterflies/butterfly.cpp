#include "collectives/algorithms/butterflies/butterfly.hpp"

#include <algorithm>

namespace railwright::collectives::butterfly {
namespace {

bool reduces_all(const Schedule& schedule) { return schedule.operation == Operation::all_reduce; }

// An all-reduce cuts the share of each copy into one chunk per block. The others have one chunk per
// rank, and a block also holds the chunk of the rank that folded into its owner.
std::int64_t chunk_at(const Schedule& schedule, const Core& core, int copy, int block) {
  if (reduces_all(schedule)) return std::int64_t{copy} * core.size + block;
  return block + std::min(block, core.surplus);
}

ChunkRange chunks_of(const Schedule& schedule, const Core& core, int copy, Blocks blocks) {
  const std::int64_t first = chunk_at(schedule, core, copy, blocks.first);
  return {first, chunk_at(schedule, core, copy, blocks.first + blocks.count) - first};
}

enum class Kind : std::uint8_t { fold_in, halving, doubling, fold_out };
struct Stage {
  Kind kind = Kind::fold_in;
  int round = 0;  // of the reduce-scatter that this is, or undoes
};

int stage_count(const Schedule& schedule, const Core& core) {
  const int sweeps = reduces_all(schedule) ? 2 : 1;
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
    return {Kind::doubling, core.rounds - 1 - round};
  return {Kind::fold_out, 0};
}

std::string name_of(const Pairing& pairing, const Schedule& schedule, Stage stage) {
  if (stage.kind == Kind::fold_in) return "fold the surplus ranks in";
  if (stage.kind == Kind::fold_out) return "fold the surplus ranks out";
  const std::string name = stage.kind == Kind::halving ? "halving" : "doubling";
  return name + " at distance " + std::to_string(pairing.distance(schedule, stage.round));
}

void add_fold(const Schedule& schedule, Kind kind, int rank, bool sending, ChunkRange whole,
              std::vector<Send>& sends) {
  const int outside = rank | 1, inside = outside - 1;
  const bool in = kind == Kind::fold_in;
  if (rank != (in == sending ? outside : inside)) return;
  const bool part = schedule.operation == (in ? Operation::all_gather : Operation::reduce_scatter);
  const ChunkRange chunks = part ? ChunkRange{outside, 1} : whole;
  const Action action =
      in && schedule.operation != Operation::all_gather ? Action::reduce : Action::copy;
  sends.push_back({in ? outside : inside, in ? inside : outside, chunks, action, 0});
}

// Halving gives the partner what it is to keep, doubling what has been gathered so far.
void add_exchange(const Pairing& pairing, const Schedule& schedule, const Core& core, Stage stage,
                  int copy, int source, std::vector<Send>& sends) {
  const int target = pairing.partner(schedule, copy, source, stage.round);
  const bool halving = stage.kind == Kind::halving;
  const Blocks blocks = pairing.kept(schedule, copy, halving ? target : source, stage.round);
  const int beyond = std::max(0, blocks.first + blocks.count - core.size);
  const auto add = [&](Blocks piece) {
    sends.push_back({core.rank_of(source), core.rank_of(target),
                     chunks_of(schedule, core, copy, piece),
                     halving ? Action::reduce : Action::copy, copy});
  };
  add({blocks.first, blocks.count - beyond});
  if (beyond > 0) add({0, beyond});
}

}  // namespace

std::int64_t chunk_count(const Pairing& pairing, const Schedule& schedule) {
  const Core core(schedule.ranks);
  return reduces_all(schedule) ? std::int64_t{pairing.copies(schedule)} * core.size
                               : schedule.ranks;
}

int channel_count(const Pairing& pairing, const Schedule& schedule) {
  return pairing.copies(schedule);
}

// The outside rank's chunk is the second one of the block that it folded into.
ChunkRange own_part(const Pairing& pairing, const Schedule& schedule, int rank) {
  const Core core(schedule.ranks);
  const Blocks own = pairing.kept(schedule, 0, core.index_of(rank), core.rounds - 1);
  return {chunk_at(schedule, core, 0, own.first) + (core.is_outside(rank) ? 1 : 0), 1};
}

std::vector<Phase> phases(const Pairing& pairing, const Schedule& schedule) {
  const Core core(schedule.ranks);
  std::vector<Phase> phases;
  for (int phase = 0; phase < stage_count(schedule, core); ++phase)
    phases.push_back({name_of(pairing, schedule, stage_of(schedule, core, phase)), 1, true});
  return phases;
}

void add_sends(const Pairing& pairing, const Schedule& schedule, int rank, int phase, bool sending,
               std::vector<Send>& sends) {
  const Core core(schedule.ranks);
  const Stage stage = stage_of(schedule, core, phase);
  if (stage.kind == Kind::fold_in || stage.kind == Kind::fold_out) {
    const ChunkRange whole{0, chunk_count(pairing, schedule)};
    if (core.folds(rank)) add_fold(schedule, stage.kind, rank, sending, whole, sends);
    return;
  }
  if (core.is_outside(rank)) return;
  const int index = core.index_of(rank);
  for (int copy = 0; copy < pairing.copies(schedule); ++copy) {
    const int source = sending ? index : pairing.partner(schedule, copy, index, stage.round);
    add_exchange(pairing, schedule, core, stage, copy, source, sends);
  }
}

// q = 2^k the core, D copies, C chunks, h(d) the most chunks in d blocks of one copy:
//   one sweep   sum over d = 1, 2, .. q/2 of (latency + D ceil(h(d) n / C) / bandwidth)
//   all-reduce two sweeps, reduce-scatter and all-gather one; with a surplus two folds more:
//   latency + n / bandwidth where whole buffers move, latency + ceil(n / p) / bandwidth for parts.
// Thakur, Rabenseifner, Gropp: Optimization of collective communication operations in MPICH, 2005.
Seconds closed_form(const Pairing& pairing, const Schedule& schedule, Bytes size, Hop hop) {
  const Core core(schedule.ranks);
  const auto copies = static_cast<std::uint64_t>(pairing.copies(schedule));
  Seconds sweep;
  for (int distance = 1; distance < core.size; distance *= 2) {
    const std::int64_t most = chunks_of(schedule, core, 0, {0, distance}).count;
    sweep += step_time(hop, copies * largest_bytes(schedule, most, size));
  }
  const bool both = reduces_all(schedule);
  const Seconds total = (both ? 2 : 1) * sweep;
  if (core.surplus == 0) return total;
  const Seconds whole = step_time(hop, size.count);
  return total + whole + (both ? whole : step_time(hop, largest_bytes(schedule, 1, size)));
}

}  // namespace railwright::collectives::butterfly
