#include <array>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::reduce_scatter, Operation::all_gather,
                                   Operation::all_to_all};

std::int64_t chunk_count(const Schedule& schedule) {
  const std::int64_t ranks = schedule.ranks;
  return schedule.operation == Operation::all_to_all ? ranks * ranks : ranks;
}

// Other partners, other links: a phase of its own for each distance.
std::vector<Phase> phases(const Schedule& schedule) {
  std::vector<Phase> phases;
  for (int distance = 1; distance < schedule.ranks; ++distance)
    phases.push_back({"exchange at distance " + std::to_string(distance), 1, true});
  return phases;
}

// A send has nothing to wait for but the one before it: only the last one's latency shows.
std::int64_t waiting_steps(const Schedule& schedule, int phase, std::int64_t) {
  return phase == schedule.ranks - 2 ? 1 : 0;
}

Send send_between(const Schedule& schedule, int source, int target) {
  switch (schedule.operation) {
    case Operation::reduce_scatter:
      return {source, target, {target, 1}, Action::reduce, 0};
    case Operation::all_gather:
      return {source, target, {source, 1}, Action::copy, 0};
    default:
      break;
  }
  return {source, target, {std::int64_t{source} * schedule.ranks + target, 1}, Action::copy, 0};
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t, bool sending,
               std::vector<Send>& sends) {
  const std::int64_t distance = phase + 1;
  const int source = sending ? rank : modulo(rank - distance, schedule.ranks);
  sends.push_back(send_between(schedule, source, modulo(source + distance, schedule.ranks)));
}

// latency + (p-1) ceil(n / p) / bandwidth: MPI's pairwise exchange waits for its partner in every
// step and pays p-1 latencies (Thakur, Rabenseifner, Gropp 2005, section 4.4); these sends do not.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const auto peers = static_cast<std::uint64_t>(schedule.ranks - 1);
  return step_time(hop, peers * largest_bytes(schedule, 1, size));
}

constexpr Maker maker{operations, no_refusal, chunk_count,   one_channel, part_of_rank,
                      phases,     first_step, waiting_steps, add_sends,   closed_form};

}  // namespace

const Maker& pairwise_maker() { return maker; }

}  // namespace railwright::collectives
