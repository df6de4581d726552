#include <array>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce};

std::int64_t chunk_count(const Schedule&) { return 1; }
int channel_count(const Schedule& schedule) { return schedule.ranks - 1; }

std::vector<Phase> phases(const Schedule&) { return {{"all to all, each reduces", 1, true}}; }

void sends_from(const Schedule& schedule, int rank, int, std::int64_t, std::vector<Send>& sends) {
  for (int distance = 1; distance < schedule.ranks; ++distance)
    sends.push_back({rank,
                     modulo(std::int64_t{rank} + distance, schedule.ranks),
                     {0, 1},
                     Action::reduce,
                     distance - 1});
}

void sends_to(const Schedule& schedule, int rank, int, std::int64_t, std::vector<Send>& sends) {
  for (int distance = 1; distance < schedule.ranks; ++distance)
    sends.push_back(
        {modulo(rank - distance, schedule.ranks), rank, {0, 1}, Action::reduce, distance - 1});
}

// latency + (p-1) n / bandwidth
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  return step_time(hop, static_cast<std::uint64_t>(schedule.ranks - 1) * size.count);
}

constexpr Maker maker{operations, no_refusal, chunk_count, channel_count, part_of_rank, phases,
                      first_step, all_steps,  sends_from,  sends_to,      closed_form};

}  // namespace

const Maker& one_shot_maker() { return maker; }

}  // namespace railwright::collectives
