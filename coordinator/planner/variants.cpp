#include "coordinator/planner/variants.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "emulator/plan.hpp"

namespace railwright::coordinator {

using emulator::Axis;
using workload::Degrees;
using workload::Dimension;
using workload::RankOrder;

namespace {

// Groups on a torus share links more than elsewhere, which the closed form does not see: of the
// first points so many arrangements are tried.
constexpr std::size_t thorough_points = 8, arrangements_of_torus = 4;

// Arrangements are told apart place by place, which takes time and memory on large tori.
constexpr std::int64_t most_turned = 1 << 16;

constexpr Dimension coordinates[] = {Dimension::tp, Dimension::cp, Dimension::dp, Dimension::pp};

// The given dimensions fastest first; ep stands with dp, what has one rank comes last.
RankOrder order_from(const std::vector<Dimension>& chosen) {
  std::vector<Dimension> all;
  const auto add = [&](Dimension dimension) {
    if (dimension == Dimension::dp) all.push_back(Dimension::ep);
    all.push_back(dimension);
  };
  for (const Dimension dimension : chosen) add(dimension);
  for (const Dimension dimension : coordinates)
    if (std::find(chosen.begin(), chosen.end(), dimension) == chosen.end()) add(dimension);
  RankOrder order;
  std::copy_n(all.begin(), order.size(), order.begin());
  return order;
}

bool has_mixed_kinds(const topology::Cluster& cluster) {
  const auto& nodes = cluster.spec.nodes;
  return std::any_of(nodes.begin(), nodes.end(), [&](const topology::NodeGroup& group) {
    return group.accelerator_kind != nodes.front().accelerator_kind;
  });
}

}  // namespace

bool has_closed_form(const Degrees& degrees) {
  return degrees.vpp == 1 &&
         degrees.schedule == workload::PipelineSchedule::one_forward_one_backward;
}

std::vector<RankOrder> orders_of(const topology::Cluster& cluster, const Degrees& degrees) {
  std::vector<Dimension> used;
  for (const Dimension dimension : coordinates)
    if (workload::extent_of(degrees, dimension) > 1) used.push_back(dimension);
  std::vector<RankOrder> orders = {workload::default_order};
  const std::vector<Dimension> usual = used;
  const bool stages_slowest = has_mixed_kinds(cluster) && degrees.pp > 1;
  while (std::next_permutation(used.begin(), used.end())) {
    if (used == usual || (stages_slowest && used.back() != Dimension::pp)) continue;
    const RankOrder order = order_from(used);
    if (workload::has_groups(degrees, order)) orders.push_back(order);
  }
  return orders;
}

namespace {

// Extents of the torus that the accelerators are, dimension 0 first; empty: they are none, or are
// not told apart by it.
std::vector<int> torus_of(const topology::Cluster& cluster) {
  const topology::ClusterSpec& spec = cluster.spec;
  constexpr std::size_t most_axes = 4;  // 24 sequences of them
  if (spec.networks.size() != 1 || has_mixed_kinds(cluster)) return {};
  const topology::NetworkSpec& network = spec.networks.front();
  if (network.dimensions.size() > most_axes) return {};
  std::int64_t places = 1;
  for (const int extent : network.dimensions) places *= extent;
  const bool whole = network.shape == topology::Shape::torus && places == cluster.accelerators();
  return whole ? network.dimensions : std::vector<int>{};
}

// The axes in every sequence but their own. Those of equal extent are alike where no twist tells
// them apart.
std::vector<std::vector<Axis>> turns_of(const std::vector<int>& extents, bool twisted) {
  std::vector<Axis> axes;  // the fastest first, as accelerators count
  std::int64_t stride = 1;
  for (auto extent = extents.rbegin(); extent != extents.rend(); ++extent) {
    if (*extent > 1) axes.push_back({*extent, stride});
    stride *= *extent;
  }
  std::vector<std::vector<Axis>> turns;
  std::set<std::vector<Axis>> seen;
  const auto kind_of = [&](std::vector<Axis> turn) {
    for (Axis& axis : turn) axis.stride = twisted ? axis.stride : 0;
    return turn;
  };
  seen.insert(kind_of(axes));
  std::sort(axes.begin(), axes.end());
  do {
    if (seen.insert(kind_of(axes)).second) turns.push_back(axes);
  } while (std::next_permutation(axes.begin(), axes.end()));
  return turns;
}

// Accelerator of each rank when these are numbered in the usual order.
std::vector<int> places_of(const Placed& placed) {
  auto placement = emulator::identity_placement(placed.degrees, placed.order);
  placement.axes = placed.axes;
  std::vector<int> places;
  for (std::int64_t rank = 0; rank < placed.degrees.world(); ++rank) {
    const auto at = workload::coordinates_of(rank, placed.degrees);
    const auto there = workload::rank_of(at, placed.degrees, placed.order);
    places.push_back(emulator::accelerator_of(there, placement, placed.degrees).index);
  }
  return places;
}

}  // namespace

std::vector<Placed> arrangements_of(const topology::Cluster& cluster, const Degrees& degrees) {
  std::vector<Placed> all;
  for (const RankOrder& order : orders_of(cluster, degrees)) all.push_back({degrees, order, {}});
  const std::size_t orders = all.size();
  const std::vector<int> extents = torus_of(cluster);
  const bool twisted = !extents.empty() && !cluster.spec.networks.front().twists.empty();
  const std::int64_t world = degrees.world();
  if (extents.empty() || world != cluster.accelerators() || world > most_turned) return all;
  std::set<std::vector<int>> seen;
  for (const Placed& placed : all) seen.insert(places_of(placed));
  for (std::size_t i = 0; i < orders; ++i)
    for (const std::vector<Axis>& axes : turns_of(extents, twisted)) {
      Placed turned{degrees, all[i].order, axes};
      if (seen.insert(places_of(turned)).second) all.push_back(std::move(turned));
    }
  return all;
}

std::string in_words(const Placed& placed) {
  std::string words = to_string(placed.order, placed.degrees);
  if (placed.axes.empty()) return words;
  std::vector<std::int64_t> strides;  // dimension 0, x, is the slowest
  for (const Axis& axis : placed.axes) strides.push_back(axis.stride);
  std::sort(strides.rbegin(), strides.rend());
  words += " along ";
  for (const Axis& axis : placed.axes) {
    const auto place = std::find(strides.begin(), strides.end(), axis.stride) - strides.begin();
    words += "xyzwvuts"[place];
  }
  return words;
}

std::string to_string(const RankOrder& order, const Degrees& degrees) {
  std::vector<std::string> names;
  for (const Dimension dimension : order)
    if (dimension != Dimension::ep && workload::extent_of(degrees, dimension) > 1)
      names.push_back(workload::to_string(dimension));
  return fmt::format("{}", fmt::join(names, "-"));
}

std::vector<PricedPoint> better_orders(const PlanRequest& request,
                                       const std::vector<PricedPoint>& points, Pricing& pricing) {
  std::vector<Placed> all;
  std::vector<std::size_t> owner;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!has_closed_form(points[i].placed.degrees)) continue;
    const auto others = arrangements_of(request.cluster, points[i].placed.degrees);
    for (std::size_t k = 1; k < others.size(); ++k) {
      all.push_back(others[k]);
      owner.push_back(i);
    }
  }
  const auto prices = pricing.prices(all, By::closed_form);
  std::vector<std::vector<PricedPoint>> faster(points.size());
  for (std::size_t k = 0; k < all.size(); ++k) {
    PricedPoint mine = points[owner[k]];
    if (prices[k].step >= mine.price.step) continue;
    mine.placed = all[k];
    mine.price = prices[k];
    faster[owner[k]].push_back(std::move(mine));
  }
  const bool on_torus = !torus_of(request.cluster).empty();
  std::vector<PricedPoint> best;
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::stable_sort(faster[i].begin(), faster[i].end(),
                     [](const auto& a, const auto& b) { return a.price.step < b.price.step; });
    const std::size_t most = on_torus && i < thorough_points ? arrangements_of_torus : 1;
    faster[i].resize(std::min(most, faster[i].size()));
    best.insert(best.end(), faster[i].begin(), faster[i].end());
  }
  return best;
}

std::vector<Degrees> pipeline_variants(const workload::Training& training,
                                       const std::vector<PricedPoint>& points,
                                       const FixedDegrees& fixed) {
  std::vector<Degrees> variants;
  const auto add = [&](const Degrees& degrees) {
    if (workload::violations(training, degrees).empty()) variants.push_back(degrees);
  };
  for (const PricedPoint& point : points) {
    Degrees degrees = point.placed.degrees;
    if (degrees.pp == 1 || !has_closed_form(degrees)) continue;
    const std::int64_t layers = training.model.layers / degrees.pp;
    for (int vpp = 2; !fixed.has("vpp") && vpp <= layers; vpp *= 2) {
      degrees.vpp = vpp;
      add(degrees);
    }
    degrees.vpp = 1;
    degrees.schedule = workload::PipelineSchedule::zero_bubble_h1;
    if (!fixed.has("schedule") && !fixed.has("vpp")) add(degrees);
  }
  return variants;
}

std::vector<Degrees> split_variants(const workload::Training& training,
                                    const std::vector<PricedPoint>& points,
                                    const FixedDegrees& fixed) {
  std::vector<Degrees> variants;
  if (fixed.has("etp") || training.model.experts.count == 0) return variants;
  for (const PricedPoint& point : points) {
    Degrees degrees = point.placed.degrees;
    for (degrees.etp = 2; degrees.etp < degrees.tp; degrees.etp *= 2)
      if (std::find(variants.begin(), variants.end(), degrees) == variants.end() &&
          workload::violations(training, degrees).empty())
        variants.push_back(degrees);
  }
  return variants;
}

}  // namespace railwright::coordinator
