#include <array>
#include <optional>

#include "collectives/algorithms/trees/pipeline.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::broadcast, Operation::reduce};

// A line of ranks with the root at its head.
int hops(const Schedule& schedule) { return schedule.ranks - 1; }
int place_of(const Schedule& schedule, int rank) {
  return modulo(rank - schedule.root, schedule.ranks);
}
int rank_at(const Schedule& schedule, int place) {
  return modulo(place + schedule.root, schedule.ranks);
}

bool reduces(const Schedule& schedule) { return schedule.operation != Operation::broadcast; }
bool broadcasts(const Schedule& schedule) { return schedule.operation != Operation::reduce; }

std::int64_t chunk_count(const Schedule& schedule) { return schedule.segments; }
int channels(const Schedule& schedule) {
  return schedule.operation == Operation::all_reduce ? 2 : 1;
}

Stretches stretches(const Schedule& schedule) { return {schedule, hops(schedule)}; }
std::vector<Phase> phases(const Schedule& schedule) { return stretches(schedule).phases(); }
std::int64_t busiest_step(const Schedule& schedule, int phase) {
  return stretches(schedule)[phase].busiest;
}
std::int64_t waiting_steps(const Schedule& schedule, int phase, std::int64_t) {
  return stretches(schedule)[phase].latencies;
}

// What passes between places `place` and `place + 1`: towards the head where it is reduced, away
// from it where it is broadcast.
std::optional<Send> over_hop(const Schedule& schedule, int place, bool reducing,
                             std::int64_t step) {
  const int inwards = hops(schedule) - 1 - place;
  const int outwards = reduces(schedule) ? hops(schedule) + place : place;
  const std::int64_t segment = step - (reducing ? inwards : outwards);
  if (segment < 0 || segment >= schedule.segments) return std::nullopt;
  const int near = rank_at(schedule, place), far = rank_at(schedule, place + 1);
  if (reducing) return Send{far, near, {segment, 1}, Action::reduce, 0};
  return Send{near, far, {segment, 1}, Action::copy, channels(schedule) - 1};
}

// A rank has one hop on the side of the head and one on the other.
void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  step += stretches(schedule)[phase].first;
  const int place = place_of(schedule, rank);
  for (const bool reducing : {true, false}) {
    if (!(reducing ? reduces(schedule) : broadcasts(schedule))) continue;
    const int hop = reducing == sending ? place - 1 : place;
    if (hop < 0 || hop >= hops(schedule)) continue;
    if (const auto send = over_hop(schedule, hop, reducing, step)) sends.push_back(*send);
  }
}

// h = p-1 hops, m segments of s = ceil(n / m) bytes; latency shows on the way of the first segment:
//   broadcast, reduce   h latency + (m + h-1) s / bandwidth
//   all-reduce        2 h latency + (m + 2h-1 + x) s / bandwidth
// x = m-1 for m, p >= 3: the steps in which some rank sends, or receives, in both directions.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const bool both = schedule.operation == Operation::all_reduce;
  const std::int64_t levels = std::int64_t{hops(schedule)} * (both ? 2 : 1);
  const std::int64_t segments = schedule.segments;
  const bool meet = both && segments >= 3 && schedule.ranks >= 3;
  const auto steps = static_cast<double>(segments + levels - 1 + (meet ? segments - 1 : 0));
  const Bytes segment{largest_bytes(schedule, 1, size)};
  return static_cast<double>(levels) * hop.latency + steps * (segment / hop.bandwidth);
}

constexpr Maker maker{operations, refusal_of_segments, chunk_count,   channels,  part_of_rank,
                      phases,     busiest_step,        waiting_steps, add_sends, closed_form};

}  // namespace

const Maker& chain_maker() { return maker; }

}  // namespace railwright::collectives
