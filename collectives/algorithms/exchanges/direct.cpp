#include <array>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {
    Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather, Operation::broadcast,
    Operation::reduce,     Operation::all_to_all,     Operation::send};

bool moves_whole_buffers(const Schedule& schedule) {
  return schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce ||
         schedule.operation == Operation::send;
}

std::int64_t chunk_count(const Schedule& schedule) {
  const std::int64_t ranks = schedule.ranks;
  if (schedule.operation == Operation::all_to_all) return ranks * ranks;
  return moves_whole_buffers(schedule) ? 1 : ranks;
}

// One channel per distance: the sends of a step do not wait for each other.
int channel_count(const Schedule& schedule) {
  return schedule.operation == Operation::send ? 1 : schedule.ranks - 1;
}

std::vector<Phase> phases(const Schedule& schedule) {
  switch (schedule.operation) {
    case Operation::reduce_scatter:
      return {{"reduce-scatter", 1, true}};
    case Operation::all_gather:
      return {{"all-gather", 1, true}};
    case Operation::broadcast:
      return {{"broadcast", 1, true}};
    case Operation::reduce:
      return {{"reduce", 1, true}};
    case Operation::all_to_all:
      return {{"all-to-all", 1, true}};
    case Operation::send:
      return {{"send", 1, true}};
    default:
      return {{"reduce-scatter", 1, true}, {"all-gather", 1, true}};
  }
}

Send send_between(const Schedule& schedule, int source, int target, int phase) {
  const int channel = modulo(target - source - 1, schedule.ranks);
  switch (schedule.operation) {
    case Operation::broadcast:
      return {source, target, {0, 1}, Action::copy, channel};
    case Operation::reduce:
      return {source, target, {0, 1}, Action::reduce, channel};
    case Operation::send:
      return {source, target, {0, 1}, Action::copy, 0};
    case Operation::all_to_all:
      return {source,
              target,
              {std::int64_t{source} * schedule.ranks + target, 1},
              Action::copy,
              channel};
    default:
      break;
  }
  const bool gathering = schedule.operation == Operation::all_gather || phase == 1;
  if (gathering) return {source, target, {source, 1}, Action::copy, channel};
  return {source, target, {target, 1}, Action::reduce, channel};
}

// Of operations that name one source or one target; -1: everybody.
int only_source(const Schedule& schedule) {
  if (schedule.operation == Operation::send) return 0;
  return schedule.operation == Operation::broadcast ? schedule.root : -1;
}
int only_target(const Schedule& schedule) {
  if (schedule.operation == Operation::send) return schedule.ranks - 1;
  return schedule.operation == Operation::reduce ? schedule.root : -1;
}

// Whoever has one partner, or none, must not look at all ranks.
void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t, bool sending,
               std::vector<Send>& sends) {
  const int source = only_source(schedule), target = only_target(schedule);
  const int own = sending ? source : target, other = sending ? target : source;
  if ((own >= 0 && own != rank) || other == rank) return;
  const auto add = [&](int peer) {
    sends.push_back(sending ? send_between(schedule, rank, peer, phase)
                            : send_between(schedule, peer, rank, phase));
  };
  if (other >= 0) return add(other);
  for (int distance = 1; distance < schedule.ranks; ++distance)
    add(modulo(std::int64_t{rank} + (sending ? distance : -distance), schedule.ranks));
}

// All messages of a step share the hop of their rank:
//   reduce-scatter, all-gather, all-to-all   latency + (p-1) ceil(n / p) / bandwidth
//   all-reduce twice that;   broadcast, reduce   latency + (p-1) n / bandwidth
//   send   latency + n / bandwidth
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  if (schedule.operation == Operation::send) return step_time(hop, size.count);
  const auto peers = static_cast<std::uint64_t>(schedule.ranks - 1);
  const Seconds step = step_time(hop, peers * largest_bytes(schedule, 1, size));
  return (schedule.operation == Operation::all_reduce ? 2 : 1) * step;
}

constexpr Maker maker{operations, no_refusal, chunk_count, channel_count, part_of_rank,
                      phases,     first_step, all_steps,   add_sends,     closed_form};

}  // namespace

const Maker& direct_maker() { return maker; }

}  // namespace railwright::collectives
