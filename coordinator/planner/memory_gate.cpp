#include "coordinator/planner/memory_gate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace railwright::coordinator {

using topology::AcceleratorKind;
using topology::Cluster;
using workload::Degrees;
using workload::MemoryUse;
using workload::Training;

namespace {

// "optimizer state (12.3 GiB)".
std::string largest_part(const MemoryUse& use) {
  const std::pair<const char*, Bytes> parts[] = {{"weights", use.weights},
                                                 {"gradients", use.gradients},
                                                 {"optimizer state", use.optimizer},
                                                 {"activations", use.activations},
                                                 {"logits", use.logits},
                                                 {"communication buffers", use.communication},
                                                 {"framework reserve", use.reserve}};
  const auto& largest =
      *std::max_element(std::begin(parts), std::end(parts),
                        [](const auto& a, const auto& b) { return a.second < b.second; });
  return fmt::format("{} ({:.1f} GiB)", largest.first, in_gibibytes(largest.second));
}

// Beyond the cluster's end: as if all accelerators were the smallest that it has.
bool fits_smallest(const Cluster& cluster, const Training& training, const Degrees& degrees) {
  const auto& kinds = cluster.spec.accelerator_kinds;
  const auto smallest = std::min_element(
      kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.memory < b.memory; });
  return workload::peak_memory(training, degrees).total() <= smallest->memory;
}

// What is fixed, but for one of the degrees.
FixedDegrees without(const FixedDegrees& fixed, const std::string& left_out) {
  std::string kept;
  std::string all = workload::to_string(fixed.values) + ",";
  while (!all.empty()) {
    const std::string entry = all.substr(0, all.find(','));
    const std::string name = entry.substr(0, entry.find('='));
    if (name != left_out && fixed.has(name)) kept += (kept.empty() ? "" : ",") + entry;
    all.erase(0, entry.size() + 1);
  }
  // The text of degrees is silent about it.
  if (left_out != "etp" && fixed.has("etp") && fixed.values.etp == 1)
    kept += kept.empty() ? "etp=1" : ",etp=1";
  return parse_fixed(kept).value_or(FixedDegrees{});
}

constexpr int most_doublings = 6;  // of accelerators

std::optional<Degrees> first_that_fits(const Cluster& cluster, const Training& training,
                                       std::int64_t accelerators, const FixedDegrees& fixed) {
  const bool there = accelerators <= cluster.accelerators();
  for (const Degrees& point : points_of(training, accelerators, fixed))
    if (there ? tightest_stage(cluster, training, point).fits()
              : fits_smallest(cluster, training, point))
      return point;
  return std::nullopt;
}

}  // namespace

std::vector<const AcceleratorKind*> kinds_under(const Cluster& cluster, const Degrees& degrees,
                                                int stage) {
  const int ranks = static_cast<int>(degrees.world() / degrees.pp);
  std::vector<const AcceleratorKind*> kinds;
  std::set<int> seen;
  const int last_group = cluster.group_of({(stage + 1) * ranks - 1});
  for (int group = cluster.group_of({stage * ranks}); group <= last_group; ++group) {
    const int kind = cluster.spec.nodes[static_cast<std::size_t>(group)].accelerator_kind;
    if (seen.insert(kind).second)
      kinds.push_back(&cluster.spec.accelerator_kinds[static_cast<std::size_t>(kind)]);
  }
  return kinds;
}

TightestStage tightest_stage(const Cluster& cluster, const Training& training,
                             const Degrees& degrees) {
  TightestStage tightest;
  tightest.room = std::numeric_limits<double>::infinity();
  for (int stage = 0; stage < degrees.pp; ++stage) {
    const MemoryUse use = workload::stage_memory(training, degrees, stage);
    for (const AcceleratorKind* kind : kinds_under(cluster, degrees, stage)) {
      const double room =
          static_cast<double>(kind->memory.count) - static_cast<double>(use.total().count);
      if (room < tightest.room) tightest = {stage, kind, use, room};
    }
  }
  return tightest;
}

std::string why_nothing_fits(const Cluster& cluster, const Training& training,
                             const std::vector<Degrees>& points) {
  assert(!points.empty());
  const Degrees* nearest = &points.front();
  TightestStage least = tightest_stage(cluster, training, *nearest);
  for (const Degrees& point : points)
    if (const auto here = tightest_stage(cluster, training, point); here.room > least.room) {
      nearest = &point;
      least = here;
    }
  return fmt::format(
      "nothing fits: memory of '{}' is {:.1f} GiB, but the leanest of {} points ({}) needs "
      "{:.1f} GiB on its stage {}, {:.1f} GiB too much; most of it {}",
      least.kind->name, in_gibibytes(least.kind->memory), points.size(),
      workload::to_string(*nearest), in_gibibytes(least.use.total()), least.stage,
      in_gibibytes(least.use.total() - least.kind->memory), largest_part(least.use));
}

namespace {

// "leave out --fix pp: tp=8,... fits": each of the fixed degrees by itself, else all of them.
std::vector<std::string> without_fix(const Cluster& cluster, const Training& training,
                                     std::int64_t accelerators, const FixedDegrees& fixed) {
  std::vector<std::string> ways;
  for (const std::string& name : fixed.names)
    if (const auto found = first_that_fits(cluster, training, accelerators, without(fixed, name)))
      ways.push_back(fmt::format("leave out --fix {}: {} fits", name, workload::to_string(*found)));
  if (!ways.empty() || fixed.names.empty()) return ways;
  if (const auto found = first_that_fits(cluster, training, accelerators, {}))
    ways.push_back("leave out --fix: " + workload::to_string(*found) + " fits");
  return ways;
}

// Quarters of a doubling at a time: the first number on which something fits.
std::optional<std::int64_t> enough_accelerators(const Cluster& cluster, const Training& training,
                                                std::int64_t accelerators,
                                                const FixedDegrees& fixed) {
  for (int doubling = 0; doubling < most_doublings; ++doubling)
    for (int quarter = 5; quarter <= 8; ++quarter) {
      const std::int64_t more = (accelerators << doubling) * quarter / 4;
      if (more > accelerators && first_that_fits(cluster, training, more, fixed)) return more;
    }
  return std::nullopt;
}

// What the leanest point asks for.
double least_gibibytes(const Training& training, const std::vector<Degrees>& points) {
  double least = std::numeric_limits<double>::infinity();
  for (const Degrees& point : points)
    least = std::min(least, in_gibibytes(workload::peak_memory(training, point).total()));
  return least;
}

// In whole GiB, so that the leanest point leaves the head-room free.
std::optional<std::string> enough_memory(double least, double headroom) {
  const double gibi = std::ceil(least / (1 - headroom));
  constexpr double most = 4096;  // of an accelerator that anybody builds
  if (!(gibi <= most)) return std::nullopt;
  return fmt::format("use accelerators with {:.0f} GiB of memory", gibi);
}

// In whole per cent, what the leanest point leaves free of the memory of all accelerators.
std::optional<std::string> less_headroom(const Cluster& cluster, double least, double headroom) {
  const double left = in_gibibytes(cluster.kind_of({0}).memory) / (1 - headroom);
  const double spare = std::floor(100 * (1 - least / left));
  if (headroom <= 0 || spare < 0) return std::nullopt;
  return fmt::format("use --memory-headroom {:.0f}%", spare);
}

// Of the sequences shorter than that of the training, in steps of about a sixty-fourth of it that
// parts of sequences divide, the longest with which something fits: memory only grows with it.
std::optional<std::int64_t> longest_sequence(const Cluster& cluster, Training training,
                                             std::int64_t accelerators, const FixedDegrees& fixed) {
  constexpr std::int64_t longest_unit = 1024;
  const std::int64_t asked = training.sequence;
  std::int64_t unit = 1;
  while (2 * unit <= longest_unit && asked % (2 * unit) == 0 && 128 * unit <= asked) unit *= 2;
  const auto fits = [&](std::int64_t units) {
    training.sequence = units * unit;
    return first_that_fits(cluster, training, accelerators, fixed).has_value();
  };
  std::int64_t fit = 0, too_long = asked / unit;
  while (too_long - fit > 1) {
    const std::int64_t middle = fit + (too_long - fit) / 2;
    (fits(middle) ? fit : too_long) = middle;
  }
  return fit > 0 ? std::optional(fit * unit) : std::nullopt;
}

}  // namespace

std::string what_would_fit(const Cluster& cluster, const Training& training,
                           std::int64_t accelerators, const FixedDegrees& fixed, double headroom) {
  std::vector<std::string> ways = without_fix(cluster, training, accelerators, fixed);
  if (const auto more = enough_accelerators(cluster, training, accelerators, fixed))
    ways.push_back(fmt::format("use --accelerators {}{}", *more,
                               *more > cluster.accelerators() ? " of a larger cluster" : ""));
  if (const auto longest = longest_sequence(cluster, training, accelerators, fixed))
    ways.push_back(fmt::format("use --sequence {} (the longest that fits)", *longest));
  const double least = least_gibibytes(training, points_of(training, accelerators, fixed));
  if (const auto way = less_headroom(cluster, least, headroom)) ways.push_back(*way);
  if (const auto way = enough_memory(least, headroom)) ways.push_back(*way);
  if (ways.empty()) return "use far more accelerators, or accelerators with more memory";
  return fmt::format("{}", fmt::join(ways, ", or "));
}

}  // namespace railwright::coordinator
