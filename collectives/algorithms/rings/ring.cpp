#include <fmt/format.h>

#include <array>
#include <optional>

#include "collectives/algorithms/rings/node_order.hpp"
#include "collectives/algorithms/rings/ring_order.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather, Operation::broadcast, Operation::reduce};

// A chain from or to the root is p-2 steps longer than its segments: with 4 p of them filling and
// draining cost a quarter of the transfer, whatever the size.
constexpr int segments_per_rank = 4;

// One channel of a ring: a direction along an order of the ranks.
struct Channel {
  NodeOrder order;
  int direction = 1;

  // Inside one node odd channels go round the other way, so that both directions of a cable carry
  // data; across nodes the order itself uses every NIC both ways.
  Channel(const Schedule& schedule, int channel) : order(schedule, channel) {
    if (order.is_plain() && channel % 2 == 1) direction = -1;
  }
  int neighbour(int rank, int offset, int ranks) const {
    return order.rank_at(modulo(order.place_of(rank) + direction * offset, ranks));
  }
};

std::string refusal(const Schedule& schedule) {
  if (schedule.inner >= 1 && schedule.ranks % schedule.inner == 0) return {};
  return fmt::format("ring: {} ranks do not split into nodes of {}", schedule.ranks,
                     schedule.inner);
}

bool gathers(const Schedule& schedule, int phase) {
  return schedule.operation == Operation::all_gather || phase == 1;
}

// Broadcast and reduce go along a chain that begins, or ends, at the root.
bool is_chain(const Schedule& schedule) {
  return schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce;
}

std::int64_t segments(const Schedule& schedule) {
  return std::int64_t{segments_per_rank} * schedule.ranks;
}

std::int64_t chunk_count(const Schedule& schedule) {
  return (is_chain(schedule) ? segments(schedule) : schedule.ranks) * schedule.channels;
}

ChunkRange own_part(const Schedule& schedule, int rank) {
  return {std::int64_t{rank} * schedule.channels, schedule.channels};
}

std::vector<Phase> chain_phases(const Schedule& schedule) {
  const std::int64_t ramp = schedule.ranks - 2;
  const Phase steady{to_string(schedule.operation) + " along the chain", segments(schedule) - ramp,
                     true};
  if (ramp == 0) return {steady};
  return {{"fill the chain", ramp, false}, steady, {"drain the chain", ramp, false}};
}

std::vector<Phase> phases(const Schedule& schedule) {
  const std::int64_t turn = schedule.ranks - 1;
  switch (schedule.operation) {
    case Operation::reduce_scatter:
      return {{"reduce-scatter", turn, true}};
    case Operation::all_gather:
      return {{"all-gather", turn, true}};
    case Operation::broadcast:
    case Operation::reduce:
      return chain_phases(schedule);
    default:
      return {{"reduce-scatter", turn, true}, {"all-gather", turn, true}};
  }
}

// Steps of the whole chain before this phase.
std::int64_t steps_before(const Schedule& schedule, int phase) {
  if (schedule.ranks == 2 || phase == 0) return 0;
  return phase == 1 ? schedule.ranks - 2 : segments(schedule);
}

std::optional<Send> chain_send(const Schedule& schedule, int rank, int phase, std::int64_t step,
                               int channel) {
  const Channel way(schedule, channel);
  const bool reducing = schedule.operation == Operation::reduce;
  const int from_root = way.order.place_of(rank) - way.order.place_of(schedule.root);
  const int position = modulo(way.direction * from_root, schedule.ranks);
  const int last = schedule.ranks - 1;
  const std::int64_t segment =
      steps_before(schedule, phase) + step - (reducing ? last - position : position);
  const bool is_end = position == (reducing ? 0 : last);
  if (is_end || segment < 0 || segment >= segments(schedule)) return std::nullopt;
  const ChunkRange chunks{segment * schedule.channels + channel, 1};
  return Send{rank, way.neighbour(rank, reducing ? -1 : 1, schedule.ranks), chunks,
              reducing ? Action::reduce : Action::copy, channel};
}

std::optional<Send> send_of(const Schedule& schedule, int rank, int phase, std::int64_t step,
                            int channel) {
  if (is_chain(schedule)) return chain_send(schedule, rank, phase, step, channel);
  const Channel way(schedule, channel);
  const bool gathering = gathers(schedule, phase);
  const int place =
      block_passed(gathering, way.order.place_of(rank), step, schedule.ranks, way.direction);
  const std::int64_t block = way.order.rank_at(place);
  const ChunkRange chunks{block * schedule.channels + channel, 1};
  const int target = way.neighbour(rank, 1, schedule.ranks);
  return Send{rank, target, chunks, ring_action(gathering), channel};
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const int behind = schedule.operation == Operation::reduce ? 1 : -1;
  for (int channel = 0; channel < schedule.channels; ++channel) {
    const int source =
        sending ? rank : Channel(schedule, channel).neighbour(rank, behind, schedule.ranks);
    if (const auto send = send_of(schedule, source, phase, step, channel)) sends.push_back(*send);
  }
}

// While the chain fills, each step uses one hop more than the step before.
std::int64_t busiest_step(const Schedule& schedule, int phase) {
  const bool filling = is_chain(schedule) && schedule.ranks > 2 && phase == 0;
  return filling ? schedule.ranks - 3 : 0;
}

// A link of the chain sends segment after segment without waiting: only the first segment on its
// way along all p-1 hops shows their latencies, p-2 of them while the chain fills.
std::int64_t waiting_steps(const Schedule& schedule, int phase, std::int64_t steps) {
  if (!is_chain(schedule)) return steps;
  if (schedule.ranks > 2 && phase == 0) return steps;
  return schedule.ranks == 2 || phase == 1 ? 1 : 0;
}

// With c channels a rank sends c chunks per step over one hop:
//   all-reduce                    2 (p-1) (latency + c ceil(n / (p c)) / bandwidth)
//   reduce-scatter, all-gather      (p-1) (the same)
//   broadcast, reduce, m = 4 p    (p-1) latency + (m + p-2) c ceil(n / (m c)) / bandwidth
// the last at most, where chains of opposite directions fill and drain on different ranks.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const auto channels = static_cast<std::uint64_t>(schedule.channels);
  const std::uint64_t bytes = channels * largest_bytes(schedule, 1, size);
  const int turn = schedule.ranks - 1;
  if (schedule.operation == Operation::all_reduce) return 2 * turn * step_time(hop, bytes);
  if (!is_chain(schedule)) return turn * step_time(hop, bytes);
  const auto steps = static_cast<double>(segments(schedule) + turn - 1);
  return turn * hop.latency + steps * (Bytes{bytes} / hop.bandwidth);
}

int channel_count(const Schedule& schedule) { return schedule.channels; }

// Round the ring both halves go the same ways.
std::vector<Layer> layers(const Schedule& schedule, int) {
  return is_chain(schedule) ? std::vector<Layer>{} : std::vector<Layer>(1);
}

void connections(const Schedule& schedule, int, const ConnectionSink& sink) {
  for (int channel = 0; channel < schedule.channels; ++channel) {
    const Channel way(schedule, channel);
    int before = way.order.rank_at(schedule.ranks - 1);
    way.order.for_places([&](int rank) {
      way.direction > 0 ? sink(before, rank, channel) : sink(rank, before, channel);
      before = rank;
    });
  }
}

// Whatever the operation, data go round the same way.
Schedule with_same_patterns(const Schedule& schedule) {
  Schedule same = schedule;
  if (!is_chain(schedule)) same.operation = Operation::all_reduce;
  return same;
}

constexpr Maker maker{.operations = operations,
                      .refusal = refusal,
                      .chunk_count = chunk_count,
                      .channel_count = channel_count,
                      .own_part = own_part,
                      .phases = phases,
                      .busiest_step = busiest_step,
                      .waiting_steps = waiting_steps,
                      .sends = add_sends,
                      .closed_form = closed_form,
                      .layers = layers,
                      .connections = connections,
                      .with_same_patterns = with_same_patterns};

}  // namespace

const Maker& ring_maker() { return maker; }

}  // namespace railwright::collectives
