#include <array>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather, Operation::broadcast,
                                   Operation::all_to_all, Operation::send};

std::int64_t chunk_count(const Schedule& schedule) {
  const std::int64_t ranks = schedule.ranks;
  if (schedule.operation == Operation::all_to_all) return ranks * ranks;
  const bool whole =
      schedule.operation == Operation::broadcast || schedule.operation == Operation::send;
  return whole ? 1 : ranks;
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

bool takes_part(const Schedule& schedule, int source, int target) {
  if (schedule.operation == Operation::broadcast) return source == schedule.root;
  if (schedule.operation == Operation::send) return source == 0 && target == schedule.ranks - 1;
  return true;
}

// Broadcast and send name one source, so the ranks that send nothing must not look at all targets.
void sends_from(const Schedule& schedule, int rank, int phase, std::int64_t,
                std::vector<Send>& sends) {
  const int first = schedule.operation == Operation::send ? schedule.ranks - 1 : 1;
  if (!takes_part(schedule, rank, schedule.ranks - 1)) return;
  for (int distance = first; distance < schedule.ranks; ++distance)
    sends.push_back(send_between(schedule, rank, modulo(rank + distance, schedule.ranks), phase));
}

void sends_to(const Schedule& schedule, int rank, int phase, std::int64_t,
              std::vector<Send>& sends) {
  const bool one_source =
      schedule.operation == Operation::broadcast || schedule.operation == Operation::send;
  if (one_source) {
    const int source = schedule.operation == Operation::send ? 0 : schedule.root;
    if (source != rank && takes_part(schedule, source, rank))
      sends.push_back(send_between(schedule, source, rank, phase));
    return;
  }
  for (int distance = 1; distance < schedule.ranks; ++distance)
    sends.push_back(send_between(schedule, modulo(rank - distance, schedule.ranks), rank, phase));
}

// All messages of a step share the hop of their rank:
//   reduce-scatter, all-gather, all-to-all   latency + (p-1) ceil(n / p) / bandwidth
//   all-reduce twice that;   broadcast   latency + (p-1) n / bandwidth;   send   latency + n / b.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  if (schedule.operation == Operation::send) return step_time(hop, size.count);
  const auto peers = static_cast<std::uint64_t>(schedule.ranks - 1);
  const Seconds step = step_time(hop, peers * largest_bytes(schedule, 1, size));
  return (schedule.operation == Operation::all_reduce ? 2 : 1) * step;
}

constexpr Maker maker{operations, no_refusal, chunk_count, channel_count, part_of_rank, phases,
                      first_step, all_steps,  sends_from,  sends_to,      closed_form};

}  // namespace

const Maker& direct_maker() { return maker; }

}  // namespace railwright::collectives
