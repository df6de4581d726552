#include "collectives/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

constexpr std::array names = {"ring", "binomial_tree", "halving_doubling", "hierarchical",
                              "direct"};

// The chunks of one rank's buffer: an all-to-all cuts each row by itself.
std::int64_t chunks_per_row(const Schedule& schedule) {
  return schedule.operation == Operation::all_to_all ? schedule.ranks : chunk_count(schedule);
}

// floor(part total / parts) without the product overflowing.
std::uint64_t floor_share(std::uint64_t total, std::uint64_t part, std::uint64_t parts) {
  return part * (total / parts) + part * (total % parts) / parts;
}

std::string missing_operation(const Schedule& schedule) {
  const auto operations = maker_of(schedule.algorithm).operations;
  if (std::ranges::find(operations, schedule.operation) != operations.end()) return {};
  std::string list;
  for (const Operation operation : operations)
    list += (list.empty() ? "" : ", ") + to_string(operation);
  return fmt::format("{} does not do {}, only {}", to_string(schedule.algorithm),
                     to_string(schedule.operation), list);
}

}  // namespace

std::string to_string(Algorithm algorithm) { return names.at(static_cast<std::size_t>(algorithm)); }

tl::expected<Algorithm, ConfigError> parse_algorithm(std::string_view text) {
  if (text == "tree") return Algorithm::binomial_tree;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (text == names[i]) return static_cast<Algorithm>(i);
  return tl::unexpected(ConfigError{{},
                                    fmt::format("unknown algorithm '{}'", text),
                                    fmt::format("write one of {}", fmt::join(names, ", "))});
}

const Maker& maker_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::ring:
      return ring_maker();
    case Algorithm::binomial_tree:
      return binomial_tree_maker();
    case Algorithm::halving_doubling:
      return halving_doubling_maker();
    case Algorithm::hierarchical:
      return hierarchical_maker();
    case Algorithm::direct:
      break;
  }
  return direct_maker();
}

std::string why_not(const Schedule& schedule) {
  if (schedule.ranks < 1) return fmt::format("a group of {} ranks is empty", schedule.ranks);
  if (schedule.channels < 1) return fmt::format("{} channels carry nothing", schedule.channels);
  if (schedule.channels > 1 && schedule.algorithm != Algorithm::ring)
    return fmt::format("{} has one channel, not {}: only the ring splits its buffer",
                       to_string(schedule.algorithm), schedule.channels);
  if (schedule.root < 0 || schedule.root >= schedule.ranks)
    return fmt::format("root {} is not a rank: they count from 0 to {}", schedule.root,
                       schedule.ranks - 1);
  const std::string missing = missing_operation(schedule);
  return missing.empty() ? maker_of(schedule.algorithm).refusal(schedule) : missing;
}

std::int64_t chunk_count(const Schedule& schedule) {
  return schedule.ranks == 1 ? 1 : maker_of(schedule.algorithm).chunk_count(schedule);
}

int channel_count(const Schedule& schedule) {
  return schedule.ranks == 1 ? 1 : maker_of(schedule.algorithm).channel_count(schedule);
}

std::uint64_t offset_of(const Schedule& schedule, std::int64_t chunk, Bytes size,
                        std::uint64_t element) {
  assert(element >= 1 && chunk >= 0 && chunk <= chunk_count(schedule));
  const std::int64_t per_row = chunks_per_row(schedule);
  const auto row = static_cast<std::uint64_t>(chunk / per_row);
  const auto part = static_cast<std::uint64_t>(chunk % per_row);
  return row * size.count +
         element * floor_share(size.count / element, part, static_cast<std::uint64_t>(per_row));
}

Bytes bytes_of(const Schedule& schedule, ChunkRange range, Bytes size, std::uint64_t element) {
  const std::uint64_t first = offset_of(schedule, range.first, size, element);
  return {offset_of(schedule, range.first + range.count, size, element) - first};
}

std::uint64_t largest_bytes(const Schedule& schedule, std::int64_t count, Bytes size) {
  const auto parts = static_cast<std::uint64_t>(chunks_per_row(schedule));
  const auto part = static_cast<std::uint64_t>(count);
  return part * (size.count / parts) + (part * (size.count % parts) + parts - 1) / parts;
}

std::vector<Phase> phases_of(const Schedule& schedule) {
  assert(why_not(schedule).empty());
  if (schedule.ranks == 1) return {};
  return maker_of(schedule.algorithm).phases(schedule);
}

std::vector<Send> sends_from(const Schedule& schedule, int rank, int phase, std::int64_t step) {
  assert(rank >= 0 && rank < schedule.ranks && schedule.ranks > 1);
  std::vector<Send> sends;
  maker_of(schedule.algorithm).sends_from(schedule, rank, phase, step, sends);
  return sends;
}

std::vector<Send> sends_to(const Schedule& schedule, int rank, int phase, std::int64_t step) {
  assert(rank >= 0 && rank < schedule.ranks && schedule.ranks > 1);
  std::vector<Send> sends;
  maker_of(schedule.algorithm).sends_to(schedule, rank, phase, step, sends);
  return sends;
}

ChunkRange own_part(const Schedule& schedule, int rank) {
  const bool parts = schedule.operation == Operation::reduce_scatter ||
                     schedule.operation == Operation::all_gather;
  if (schedule.ranks == 1 || !parts) return {0, chunk_count(schedule)};
  return maker_of(schedule.algorithm).own_part(schedule, rank);
}

}  // namespace railwright::collectives
