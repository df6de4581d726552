#include <fmt/format.h>

#include <array>

#include "collectives/algorithms/rings/rail_exchange.hpp"
#include "collectives/algorithms/rings/ring_order.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather, Operation::all_to_all};

// It goes no rings: rail_exchange.hpp.
bool is_exchange(const Schedule& schedule) { return schedule.operation == Operation::all_to_all; }

enum class Stage : std::uint8_t { scatter_inside, scatter_across, gather_across, gather_inside };
constexpr std::array stages = {Stage::scatter_inside, Stage::scatter_across, Stage::gather_across,
                               Stage::gather_inside};

bool is_inside(Stage stage) {
  return stage == Stage::scatter_inside || stage == Stage::gather_inside;
}
bool is_gathering(Stage stage) {
  return stage == Stage::gather_across || stage == Stage::gather_inside;
}

int nodes(const Schedule& schedule) { return schedule.ranks / schedule.inner; }
int ring_size(const Schedule& schedule, Stage stage) {
  return is_inside(stage) ? schedule.inner : nodes(schedule);
}

bool takes_place(const Schedule& schedule, Stage stage) {
  if (ring_size(schedule, stage) == 1) return false;
  if (schedule.operation == Operation::reduce_scatter) return !is_gathering(stage);
  return schedule.operation == Operation::all_reduce || is_gathering(stage);
}

Stage stage_of(const Schedule& schedule, int phase) {
  for (const Stage stage : stages)
    if (takes_place(schedule, stage) && phase-- == 0) return stage;
  assert(false && "phase out of range");
  return Stage::scatter_inside;
}

std::string refusal(const Schedule& schedule) {
  if (schedule.inner >= 1 && schedule.ranks % schedule.inner == 0) return {};
  return fmt::format("hierarchical: {} ranks do not split into nodes of {}", schedule.ranks,
                     schedule.inner);
}

std::int64_t chunk_count(const Schedule& schedule) {
  const std::int64_t ranks = schedule.ranks;
  return is_exchange(schedule) ? ranks * ranks : ranks;
}

int channel_count(const Schedule& schedule) {
  return is_exchange(schedule) ? rail_exchange::channel_count(schedule) : 1;
}

// Local rank first, then node: what one local rank reduces across nodes lies together.
ChunkRange own_part(const Schedule& schedule, int rank) {
  const int local = rank % schedule.inner, node = rank / schedule.inner;
  return {std::int64_t{local} * nodes(schedule) + node, 1};
}

std::vector<Phase> phases(const Schedule& schedule) {
  if (is_exchange(schedule)) return rail_exchange::phases(schedule);
  std::vector<Phase> phases;
  for (const Stage stage : stages) {
    if (!takes_place(schedule, stage)) continue;
    const std::string what = is_gathering(stage) ? "all-gather" : "reduce-scatter";
    const std::string where = is_inside(stage) ? " inside the node" : " across nodes";
    phases.push_back({what + where, ring_size(schedule, stage) - 1, true});
  }
  return phases;
}

// The neighbour of `rank` on the ring of this stage.
int neighbour(const Schedule& schedule, Stage stage, int rank, int offset) {
  const int local = rank % schedule.inner, node = rank / schedule.inner;
  if (is_inside(stage)) return node * schedule.inner + modulo(local + offset, schedule.inner);
  return modulo(node + offset, nodes(schedule)) * schedule.inner + local;
}

Send send_of(const Schedule& schedule, Stage stage, int rank, std::int64_t step) {
  const int local = rank % schedule.inner, node = rank / schedule.inner;
  const bool inside = is_inside(stage), gathering = is_gathering(stage);
  const int block =
      block_passed(gathering, inside ? local : node, step, ring_size(schedule, stage), 1);
  const std::int64_t count = nodes(schedule);
  const ChunkRange chunks =
      inside ? ChunkRange{block * count, count} : ChunkRange{local * count + block, 1};
  return {rank, neighbour(schedule, stage, rank, 1), chunks, ring_action(gathering), 0};
}

// Blocks on their way to one relay, or along one rail, follow each other without waiting.
std::int64_t waiting_steps(const Schedule& schedule, int, std::int64_t steps) {
  return is_exchange(schedule) ? 1 : steps;
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  if (is_exchange(schedule))
    return rail_exchange::add_sends(schedule, rank, phase, step, sending, sends);
  const Stage stage = stage_of(schedule, phase);
  const int source = sending ? rank : neighbour(schedule, stage, rank, -1);
  sends.push_back(send_of(schedule, stage, source, step));
}

// g ranks in each of k nodes, one way:
//   (g-1) (latency + ceil(n / g) / bandwidth) + (k-1) (latency + ceil(n / (g k)) / bandwidth)
// all-reduce twice that.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  if (is_exchange(schedule)) return rail_exchange::closed_form(schedule, size, hop);
  const int count = nodes(schedule);
  const Seconds inside = step_time(hop, largest_bytes(schedule, count, size));
  const Seconds across = step_time(hop, largest_bytes(schedule, 1, size));
  const Seconds one_way = (schedule.inner - 1) * inside + (count - 1) * across;
  return (schedule.operation == Operation::all_reduce ? 2 : 1) * one_way;
}

// Pattern 0: the rings inside all nodes; 1: those across them.
std::vector<Layer> layers(const Schedule& schedule, int phase) {
  if (is_exchange(schedule)) return {};
  const bool inside = is_inside(stage_of(schedule, phase));
  return {{.pattern = inside ? 0 : 1, .chunks = inside ? nodes(schedule) : 1}};
}

void connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  const Stage stage = pattern == 0 ? Stage::scatter_inside : Stage::scatter_across;
  for (int rank = 0; rank < schedule.ranks; ++rank)
    sink(rank, neighbour(schedule, stage, rank, 1), 0);
}

// Whatever the operation, data go round the same way.
Schedule with_same_patterns(const Schedule& schedule) {
  Schedule same = schedule;
  if (!is_exchange(schedule)) same.operation = Operation::all_reduce;
  return same;
}

constexpr Maker maker{.operations = operations,
                      .refusal = refusal,
                      .chunk_count = chunk_count,
                      .channel_count = channel_count,
                      .own_part = own_part,
                      .phases = phases,
                      .busiest_step = first_step,
                      .waiting_steps = waiting_steps,
                      .sends = add_sends,
                      .closed_form = closed_form,
                      .layers = layers,
                      .connections = connections,
                      .with_same_patterns = with_same_patterns};

}  // namespace

const Maker& hierarchical_maker() { return maker; }

}  // namespace railwright::collectives
