#include "collectives/algorithms/rings/rail_exchange.hpp"

namespace railwright::collectives::rail_exchange {
namespace {

int nodes(const Schedule& schedule) { return schedule.ranks / schedule.inner; }
bool is_inside(const Schedule& schedule, int phase) { return phase == 0 && schedule.inner > 1; }

// The own node comes last: what goes on to other nodes is at its relay early.
Send inside(const Schedule& schedule, int source, int target, std::int64_t step) {
  const int inner = schedule.inner, node = source / inner;
  const int destination_node = modulo(node + 1 + step, nodes(schedule));
  const std::int64_t row = std::int64_t{source} * schedule.ranks;
  return {source,
          target,
          {row + std::int64_t{destination_node} * inner + target % inner, 1},
          Action::copy,
          modulo(target - source - 1, inner)};
}

// A rank's own block comes first.
Send across(const Schedule& schedule, int source, int target, std::int64_t step) {
  const int inner = schedule.inner, node = source / inner;
  const std::int64_t origin = node * inner + modulo(source % inner + step, inner);
  const int channel = modulo(target / inner - node - 1, nodes(schedule));
  return {source, target, {origin * schedule.ranks + target, 1}, Action::copy, inner - 1 + channel};
}

}  // namespace

int channel_count(const Schedule& schedule) { return schedule.inner - 1 + nodes(schedule) - 1; }

std::vector<Phase> phases(const Schedule& schedule) {
  std::vector<Phase> phases;
  if (schedule.inner > 1) phases.push_back({"all-to-all inside the node", nodes(schedule), true});
  if (nodes(schedule) > 1) phases.push_back({"all-to-all along rails", schedule.inner, true});
  return phases;
}

void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const int inner = schedule.inner, node = rank / inner, local = rank % inner;
  const bool stays = is_inside(schedule, phase);
  const int partners = stays ? inner : nodes(schedule);
  for (int i = 1; i < partners; ++i) {
    const int other =
        stays ? node * inner + (local + i) % inner : (node + i) % nodes(schedule) * inner + local;
    const int source = sending ? rank : other, target = sending ? other : rank;
    sends.push_back(stays ? inside(schedule, source, target, step)
                          : across(schedule, source, target, step));
  }
}

Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  const auto inner = static_cast<std::uint64_t>(schedule.inner);
  const auto count = static_cast<std::uint64_t>(nodes(schedule));
  const std::uint64_t block = largest_bytes(schedule, 1, size);
  Seconds total;
  if (inner > 1) total += step_time(hop, (inner - 1) * count * block);
  if (count > 1) total += step_time(hop, (count - 1) * inner * block);
  return total;
}

}  // namespace railwright::collectives::rail_exchange
