#include <array>
#include <optional>

#include "collectives/algorithms/butterflies/meetings.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::all_gather};

// Halving-doubling gathers by recursive doubling, nearest partners first: the same sends.
const Maker& gathering() { return halving_doubling_maker(); }
bool gathers(const Schedule& schedule) { return schedule.operation == Operation::all_gather; }

std::int64_t chunk_count(const Schedule& schedule) {
  return gathers(schedule) ? gathering().chunk_count(schedule) : 1;
}

int phase_count(const Core& core) { return core.rounds + (core.surplus > 0 ? 2 : 0); }

// -1 and core.rounds: folding in and out.
int round_of(const Core& core, int phase) { return core.surplus > 0 ? phase - 1 : phase; }

std::vector<Phase> phases(const Schedule& schedule) {
  if (gathers(schedule)) return gathering().phases(schedule);
  const Core core(schedule.ranks);
  std::vector<Phase> phases;
  for (int phase = 0; phase < phase_count(core); ++phase) {
    const int round = round_of(core, phase);
    std::string name = "exchange at distance " + std::to_string(1 << std::max(round, 0));
    if (round < 0) name = "fold the surplus ranks in";
    if (round == core.rounds) name = "fold the surplus ranks out";
    phases.push_back({name, 1, true});
  }
  return phases;
}

// Whom a rank sends its buffer to in one round; the same rank sends to it, or to nobody in a fold.
std::optional<Send> send_from(const Core& core, int rank, int round) {
  const ChunkRange whole{0, 1};
  const bool outside = core.is_outside(rank);
  if (round < 0)
    return outside ? std::optional(Send{rank, rank - 1, whole, Action::reduce, 0}) : std::nullopt;
  if (round == core.rounds) {
    if (outside || !core.folds(rank)) return std::nullopt;
    return Send{rank, rank + 1, whole, Action::copy, 0};
  }
  if (outside) return std::nullopt;
  const int partner = core.index_of(rank) ^ (1 << round);
  return Send{rank, core.rank_of(partner), whole, Action::reduce, 0};
}

// The rank that sends to `rank` in this round, if any does.
int source_of(const Core& core, int rank, int round) {
  const bool between = round >= 0 && round < core.rounds;
  if (!between || core.is_outside(rank)) return between ? -1 : rank ^ 1;
  return core.rank_of(core.index_of(rank) ^ (1 << round));
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  if (gathers(schedule)) return gathering().sends(schedule, rank, phase, step, sending, sends);
  const Core core(schedule.ranks);
  const int round = round_of(core, phase);
  const int source = sending ? rank : source_of(core, rank, round);
  if (source < 0 || source >= schedule.ranks) return;
  const auto send = send_from(core, source, round);
  if (send && (sending || send->target == rank)) sends.push_back(*send);
}

// All-reduce: log2 q (latency + n / bandwidth), q the largest power of two in p; 2 rounds more when
// p > q. All-gather: that of halving-doubling.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  if (gathers(schedule)) return gathering().closed_form(schedule, size, hop);
  return phase_count(Core(schedule.ranks)) * step_time(hop, size.count);
}

std::vector<Layer> layers(const Schedule& schedule, int phase) {
  if (gathers(schedule)) return gathering().layers(schedule, phase);
  const Meetings meetings(schedule.ranks);
  const int round = round_of(meetings.core(), phase);
  if (round < 0) return {{.pattern = meetings.fold_in()}};
  if (round == meetings.core().rounds) return {{.pattern = meetings.fold_out()}};
  return meetings.exchange(1 << round, [](Meetings::Kind, Meetings::Kind) { return 1; });
}

void connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  Meetings(schedule.ranks).connections(pattern, sink);
}

Schedule with_same_patterns(const Schedule& schedule) {
  return {Operation::all_reduce, Algorithm::recursive_doubling, schedule.ranks};
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
                      .connections = connections,
                      .with_same_patterns = with_same_patterns};

}  // namespace

const Maker& recursive_doubling_maker() { return maker; }

}  // namespace railwright::collectives
