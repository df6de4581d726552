#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "collectives/maker.hpp"

namespace railwright::collectives {
namespace {

using Edge = Forest::Edge;
using Edges = std::vector<Edge>;

constexpr std::array operations = {Operation::all_reduce, Operation::reduce_scatter,
                                   Operation::all_gather, Operation::broadcast, Operation::reduce};

bool in_parts(const Schedule& schedule) {
  return schedule.operation == Operation::reduce_scatter ||
         schedule.operation == Operation::all_gather;
}

std::string refusal_of_parts(const Schedule& schedule) {
  const Forest& forest = schedule.forest;
  if (schedule.segments > 1)
    return fmt::format("synthesized: {} comes in one segment, not {}",
                       to_string(schedule.operation), schedule.segments);
  if (!std::ranges::is_sorted(forest.root)) return "synthesized: trees are not in order of roots";
  std::vector<std::int64_t> width(schedule.ranks, 0);
  for (std::size_t t = 0; t < forest.root.size(); ++t)
    width[forest.root[t]] += forest.width.empty() ? 1 : forest.width[t];
  if (std::ranges::all_of(width, [&](auto w) { return w == width.front(); })) return {};
  return "synthesized: the parts of the ranks are not of one size";
}

bool well_formed(const Schedule& schedule, const Edges& edges) {
  const auto is_rank = [&](int rank) { return rank >= 0 && rank < schedule.ranks; };
  const auto key = [](const Edge& edge) { return std::pair(edge.step, edge.source); };
  return std::ranges::is_sorted(edges, {}, key) && std::ranges::all_of(edges, [&](const Edge& e) {
           const auto trees = static_cast<int>(schedule.forest.root.size());
           const auto routes = static_cast<int>(schedule.forest.routes.size());
           return is_rank(e.source) && is_rank(e.target) && e.tree >= 0 && e.tree < trees &&
                  e.step >= 0 && e.channel >= 0 && e.route >= -1 && e.route < routes;
         });
}

std::string refusal(const Schedule& schedule) {
  const Forest& forest = schedule.forest;
  if (schedule.ranks == 1) return {};
  if (forest.root.empty())
    return "synthesized: has no trees yet; they are made for a cluster (synthesize)";
  const bool widths = forest.width.empty() || forest.width.size() == forest.root.size();
  const auto positive = [](std::int64_t width) { return width >= 1; };
  const auto is_rank = [&](int rank) { return rank >= 0 && rank < schedule.ranks; };
  if (!widths || !std::ranges::all_of(forest.width, positive) ||
      !std::ranges::all_of(forest.root, is_rank) || forest.period < 1 || schedule.segments < 1 ||
      !well_formed(schedule, forest.up) || !well_formed(schedule, forest.down))
    return "synthesized: its trees are malformed";
  return in_parts(schedule) ? refusal_of_parts(schedule) : std::string();
}

std::int64_t first_chunk_of(const Forest& forest, std::size_t tree) {
  if (forest.width.empty()) return static_cast<std::int64_t>(tree);
  return std::accumulate(forest.width.begin(),
                         forest.width.begin() + static_cast<std::ptrdiff_t>(tree), std::int64_t{0});
}

std::int64_t chunks_per_segment(const Schedule& schedule) {
  return first_chunk_of(schedule.forest, schedule.forest.root.size());
}

std::int64_t chunk_count(const Schedule& schedule) {
  return schedule.segments * chunks_per_segment(schedule);
}

std::int64_t last_step(const Forest& forest) {
  const std::int64_t up = forest.up.empty() ? -1 : forest.up.back().step;
  return std::max(up, forest.down.empty() ? -1 : forest.down.back().step);
}

int channel_count(const Schedule& schedule) {
  int channels = 1;
  for (const Edges* edges : {&schedule.forest.up, &schedule.forest.down})
    for (const Edge& edge : *edges) channels = std::max(channels, edge.channel + 1);
  return channels;
}

ChunkRange own_part(const Schedule& schedule, int rank) {
  const std::vector<int>& root = schedule.forest.root;
  const auto first = static_cast<std::size_t>(std::ranges::lower_bound(root, rank) - root.begin());
  const auto last = static_cast<std::size_t>(std::ranges::upper_bound(root, rank) - root.begin());
  const std::int64_t begin = first_chunk_of(schedule.forest, first);
  return {begin, first_chunk_of(schedule.forest, last) - begin};
}

std::vector<Phase> phases(const Schedule& schedule) {
  const Forest& forest = schedule.forest;
  const std::int64_t steps = last_step(forest) + 1 + (schedule.segments - 1) * forest.period;
  return {{"along the trees", steps, false}};
}

// Segments that some edge may carry in a step.
ChunkRange segments_in(const Schedule& schedule, std::int64_t step) {
  const Forest& forest = schedule.forest;
  const std::int64_t late = std::max<std::int64_t>(0, step - last_step(forest));
  const std::int64_t first = (late + forest.period - 1) / forest.period;
  const std::int64_t last = std::min<std::int64_t>(schedule.segments - 1, step / forest.period);
  return {first, last - first + 1};
}

template <class Visit>
void for_edges(const Schedule& schedule, const Edges& edges, std::int64_t step, Visit visit) {
  const ChunkRange segments = segments_in(schedule, step);
  for (std::int64_t k = segments.first; k < segments.first + segments.count; ++k) {
    const auto range =
        std::ranges::equal_range(edges, step - k * schedule.forest.period, {}, &Edge::step);
    for (const Edge& edge : range) visit(edge, k);
  }
}

void add_sends(const Schedule& schedule, int rank, int, std::int64_t step, bool sending,
               std::vector<Send>& sends) {
  const Forest& forest = schedule.forest;
  const auto add = [&](const Edge& edge, std::int64_t segment, Action action) {
    if (rank != (sending ? edge.source : edge.target)) return;
    const std::int64_t first = first_chunk_of(forest, static_cast<std::size_t>(edge.tree)) +
                               (segment > 0 ? segment * chunks_per_segment(schedule) : 0);
    const std::int64_t width = forest.width.empty() ? 1 : forest.width[edge.tree];
    sends.push_back({edge.source, edge.target, {first, width}, action, edge.channel, edge.route});
  };
  for_edges(schedule, forest.up, step, [&](const Edge& e, auto k) { add(e, k, Action::reduce); });
  for_edges(schedule, forest.down, step, [&](const Edge& e, auto k) { add(e, k, Action::copy); });
}

std::int64_t edges_in(const Schedule& schedule, std::int64_t step) {
  std::int64_t count = 0;
  for (const Edges* edges : {&schedule.forest.up, &schedule.forest.down})
    for_edges(schedule, *edges, step, [&](const Edge&, std::int64_t) { ++count; });
  return count;
}

std::int64_t busiest_step(const Schedule& schedule, int) {
  std::int64_t busiest = 0, most = 0;
  for (std::int64_t step = 0; step <= last_step(schedule.forest); ++step)
    if (const std::int64_t count = edges_in(schedule, step); count > most) {
      busiest = step;
      most = count;
    }
  return busiest;
}

// Each step stands for itself; with many segments, one period in the middle for those like it.
std::vector<Sample> samples(const Schedule& schedule, int) {
  const Forest& forest = schedule.forest;
  const std::int64_t last = last_step(forest), period = forest.period;
  const std::int64_t steps = last + 1 + (schedule.segments - 1) * period;
  const std::int64_t filling = (last / period + 1) * period;
  const std::int64_t periods = (steps - filling - (last + 1)) / period;
  std::vector<Sample> samples;
  for (std::int64_t step = 0; step < steps; ++step) {
    const bool steady = periods > 1 && step >= filling && step < filling + periods * period;
    if (!steady || step < filling + period) samples.push_back({step, steady ? periods : 1});
  }
  return samples;
}

// Step after step, each as long as the rank that sends most takes.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop) {
  Seconds time;
  std::vector<std::int64_t> chunks(schedule.ranks);
  for (const Sample& sample : samples(schedule, 0)) {
    std::ranges::fill(chunks, 0);
    for (const Edges* edges : {&schedule.forest.up, &schedule.forest.down})
      for_edges(schedule, *edges, sample.step, [&](const Edge& edge, std::int64_t) {
        chunks[edge.source] += schedule.forest.width.empty() ? 1 : schedule.forest.width[edge.tree];
      });
    const std::int64_t most = *std::ranges::max_element(chunks);
    if (most > 0)
      time +=
          static_cast<double>(sample.steps) * step_time(hop, largest_bytes(schedule, most, size));
  }
  return time;
}

constexpr Maker maker{.operations = operations,
                      .refusal = refusal,
                      .chunk_count = chunk_count,
                      .channel_count = channel_count,
                      .own_part = own_part,
                      .phases = phases,
                      .busiest_step = busiest_step,
                      .waiting_steps = all_steps,
                      .sends = add_sends,
                      .closed_form = closed_form,
                      .samples = samples};

}  // namespace

const Maker& synthesized_maker() { return maker; }

}  // namespace railwright::collectives
