#include "coordinator/planner/variants.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace railwright::coordinator {

using workload::Degrees;
using workload::Dimension;
using workload::RankOrder;

namespace {

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
    const auto orders = orders_of(request.cluster, points[i].placed.degrees);
    for (std::size_t k = 1; k < orders.size(); ++k) {
      all.push_back({points[i].placed.degrees, orders[k]});
      owner.push_back(i);
    }
  }
  const auto prices = pricing.prices(all, By::closed_form);
  std::vector<PricedPoint> best = points;
  for (std::size_t k = 0; k < all.size(); ++k) {
    PricedPoint& mine = best[owner[k]];
    if (prices[k].step >= mine.price.step) continue;
    mine.placed = all[k];
    mine.price = prices[k];
  }
  std::erase_if(
      best, [](const PricedPoint& point) { return point.placed.order == workload::default_order; });
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

}  // namespace railwright::coordinator
