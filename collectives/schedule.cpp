#include "collectives/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

struct Entry {
  std::string_view name;
  const Maker& (*maker)();
};

// In the order of the enum.
constexpr std::array<Entry, algorithm_count> entries{{
    {"ring", ring_maker},
    {"chain", chain_maker},
    {"binomial_tree", binomial_tree_maker},
    {"double_tree", double_tree_maker},
    {"recursive_doubling", recursive_doubling_maker},
    {"halving_doubling", halving_doubling_maker},
    {"swing", swing_maker},
    {"bine", bine_maker},
    {"torus", torus_maker},
    {"bruck", bruck_maker},
    {"pat", pat_maker},
    {"hierarchical", hierarchical_maker},
    {"pairwise", pairwise_maker},
    {"direct", direct_maker},
    {"one_shot", one_shot_maker},
    {"nvls", nvls_maker},
    {"nvls_tree", nvls_tree_maker},
    {"sharp", sharp_maker},
    {"synthesized", synthesized_maker},
}};

const Entry& entry_of(Algorithm algorithm) {
  return entries.at(static_cast<std::size_t>(algorithm));
}

// What else people call them.
constexpr std::pair<std::string_view, Algorithm> aliases[] = {
    {"tree", Algorithm::binomial_tree},
    {"double_binary_tree", Algorithm::double_tree},
    {"rabenseifner", Algorithm::halving_doubling},
    {"two_level", Algorithm::hierarchical},
    {"two_shot", Algorithm::direct},
};

// The chunks of one rank's buffer: an all-to-all cuts each row by itself.
std::int64_t chunks_per_row(const Schedule& schedule) {
  return schedule.operation == Operation::all_to_all ? schedule.ranks : chunk_count(schedule);
}

// floor(part total / parts) without the product overflowing.
std::uint64_t floor_share(std::uint64_t total, std::uint64_t part, std::uint64_t parts) {
  return part * (total / parts) + part * (total % parts) / parts;
}

std::string missing_operation(const Schedule& schedule) {
  const auto operations = maker_of(schedule).operations;
  if (std::ranges::find(operations, schedule.operation) != operations.end()) return {};
  std::string list;
  for (const Operation operation : operations)
    list += (list.empty() ? "" : ", ") + to_string(operation);
  return fmt::format("{} does not do {}, only {}", to_string(schedule.algorithm),
                     to_string(schedule.operation), list);
}

}  // namespace

std::string to_string(Algorithm algorithm) { return std::string(entry_of(algorithm).name); }

tl::expected<Algorithm, ConfigError> parse_algorithm(std::string_view text) {
  for (const auto& [alias, algorithm] : aliases)
    if (text == alias) return algorithm;
  std::string names;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (text == entries[i].name) return static_cast<Algorithm>(i);
    names += (names.empty() ? "" : ", ") + std::string(entries[i].name);
  }
  return tl::unexpected(
      ConfigError{{}, fmt::format("unknown algorithm '{}'", text), "write one of " + names});
}

const Maker& maker_of(const Schedule& schedule) {
  const Algorithm algorithm = schedule.algorithm;
  if (algorithm == Algorithm::double_tree && schedule.inner != 1) return node_tree_maker();
  if (algorithm == Algorithm::hierarchical && schedule.segments != 1)
    return pipelined_hierarchical_maker();
  return entry_of(algorithm).maker();
}

std::string why_not(const Schedule& schedule) {
  if (entry_of(schedule.algorithm).maker == nullptr)
    return fmt::format("{} is not available", to_string(schedule.algorithm));
  if (schedule.ranks < 1) return fmt::format("a group of {} ranks is empty", schedule.ranks);
  if (schedule.channels < 1) return fmt::format("{} channels carry nothing", schedule.channels);
  if (schedule.channels > 1 && schedule.algorithm != Algorithm::ring)
    return fmt::format("{} has one channel, not {}: only the ring splits its buffer",
                       to_string(schedule.algorithm), schedule.channels);
  if (schedule.root < 0 || schedule.root >= schedule.ranks)
    return fmt::format("root {} is not a rank: they count from 0 to {}", schedule.root,
                       schedule.ranks - 1);
  const std::string missing = missing_operation(schedule);
  return missing.empty() ? maker_of(schedule).refusal(schedule) : missing;
}

std::int64_t chunk_count(const Schedule& schedule) {
  return schedule.ranks == 1 ? 1 : maker_of(schedule).chunk_count(schedule);
}

int channel_count(const Schedule& schedule) {
  return schedule.ranks == 1 ? 1 : maker_of(schedule).channel_count(schedule);
}

int switch_count(const Schedule& schedule) {
  return schedule.ranks == 1 ? 0 : maker_of(schedule).switch_count(schedule);
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

std::vector<Sample> samples_of(const Schedule& schedule, int phase, std::int64_t steps) {
  const Maker& maker = maker_of(schedule);
  if (maker.samples) return maker.samples(schedule, phase);
  return {{maker.busiest_step(schedule, phase), steps}};
}

std::vector<Phase> phases_of(const Schedule& schedule) {
  assert(why_not(schedule).empty());
  if (schedule.ranks == 1) return {};
  return maker_of(schedule).phases(schedule);
}

std::vector<Send> sends_from(const Schedule& schedule, int rank, int phase, std::int64_t step) {
  assert(rank >= 0 && rank < schedule.ranks + switch_count(schedule) && schedule.ranks > 1);
  std::vector<Send> sends;
  maker_of(schedule).sends(schedule, rank, phase, step, true, sends);
  return sends;
}

std::vector<Send> sends_to(const Schedule& schedule, int rank, int phase, std::int64_t step) {
  assert(rank >= 0 && rank < schedule.ranks + switch_count(schedule) && schedule.ranks > 1);
  std::vector<Send> sends;
  maker_of(schedule).sends(schedule, rank, phase, step, false, sends);
  return sends;
}

ChunkRange own_part(const Schedule& schedule, int rank) {
  const bool parts = schedule.operation == Operation::reduce_scatter ||
                     schedule.operation == Operation::all_gather;
  if (schedule.ranks == 1 || !parts) return {0, chunk_count(schedule)};
  return maker_of(schedule).own_part(schedule, rank);
}

}  // namespace railwright::collectives
