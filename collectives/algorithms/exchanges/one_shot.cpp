#include <array>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce};

std::int64_t chunk_count(const Schedule&) { return 1; }
int channel_count(const Schedule& schedule) { return schedule.ranks - 1; }

std::vector<Phase> phases(const Schedule&) { return {{"all to all, each reduces", 1, true}}; }

void add_sends(const Schedule& schedule, int rank, int, std::int64_t, bool sending,
               std::vector<Send>& sends) {
  for (int distance = 1; distance < schedule.ranks; ++distance) {
    const int peer = modulo(std::int64_t{rank} + (sending ? distance : -distance), schedule.ranks);
    sends.push_back(
        {sending ? rank : peer, sending ? peer : rank, {0, 1}, Action::reduce, distance - 1});
  }
}

// latency + (p-1) n / bandwidth
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  return step_time(hop, static_cast<std::uint64_t>(schedule.ranks - 1) * size.count);
}

constexpr Maker maker{operations, no_refusal, chunk_count, channel_count, part_of_rank,
                      phases,     first_step, all_steps,   add_sends,     closed_form};

}  // namespace

const Maker& one_shot_maker() { return maker; }

}  // namespace railwright::collectives
