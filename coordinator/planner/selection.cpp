#include "coordinator/planner/selection.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "coordinator/planner/search.hpp"

namespace railwright::coordinator {

namespace {

// Small enough to stop soon after the bounds pass the best, large enough for all cores.
constexpr std::size_t batch_size = 64;

std::vector<StepWork> works_of(const PlanRequest& request,
                               const std::vector<FittingPoint>& points) {
  StepBound bound(request.cluster, request.training, request.calibration);
  std::vector<StepWork> works;
  for (const FittingPoint& point : points) works.push_back(bound.of(point.degrees));
  return works;
}

void add_priced(const PlanRequest& request, const Economy& economy, PricedPoint point,
                Selection& selection) {
  point.score = score_of(request.objective, economy, point.step(), point.work.busy);
  selection.least_bubble = std::min(selection.least_bubble, point.bubble() / point.step());
  ++selection.evaluated;
  auto& points = within_bubble(request, point) ? selection.priced : selection.idle;
  points.push_back(std::move(point));
}

// Prices some of the points and adds them; `so_far` of all were priced before.
void price_some(const PlanRequest& request, const Economy& economy,
                const std::vector<FittingPoint>& points, const std::vector<StepWork>& works,
                const std::vector<std::size_t>& some, Pricing& pricing, Selection& selection) {
  std::vector<Placed> placed;
  for (const std::size_t i : some) placed.push_back({points[i].degrees});
  const auto before = static_cast<double>(selection.evaluated);
  const auto prices = pricing.prices(placed, By::closed_form, [&](std::size_t done) {
    if (request.progress)
      request.progress((before + static_cast<double>(done)) / static_cast<double>(points.size()));
  });
  for (std::size_t k = 0; k < some.size(); ++k)
    add_priced(request, economy,
               {placed[k], points[some[k]].memory, works[some[k]], prices[k], 0, {}}, selection);
}

// The score that a further point must reach to be of use.
double threshold_of(const Selection& selection, std::size_t kept) {
  if (selection.priced.size() < kept) return std::numeric_limits<double>::infinity();
  std::vector<double> scores;
  for (const PricedPoint& point : selection.priced) scores.push_back(point.score);
  const auto last = scores.begin() + static_cast<std::ptrdiff_t>(kept - 1);
  std::nth_element(scores.begin(), last, scores.end());
  return *last;
}

void sort(Selection& selection, std::size_t kept) {
  std::erase_if(selection.idle, [most = threshold_of(selection, kept)](const PricedPoint& point) {
    return point.score > most;
  });
  std::sort(selection.priced.begin(), selection.priced.end(), better);
  std::sort(selection.idle.begin(), selection.idle.end(), better);
}

}  // namespace

double score_of(Objective objective, const Economy& economy, Seconds step, Seconds busy) {
  switch (objective) {
    case Objective::time:
      return step.value;
    case Objective::cost:
      return economy.cost(step).value;
    case Objective::energy:
      return economy.energy(step, busy).value;
  }
  return step.value;
}

bool better(const PricedPoint& a, const PricedPoint& b) {
  if (a.score != b.score) return a.score < b.score;
  if (a.placed.degrees != b.placed.degrees) return simpler(a.placed.degrees, b.placed.degrees);
  return a.placed.order == workload::default_order && b.placed.order != workload::default_order;
}

bool within_bubble(const PlanRequest& request, const PricedPoint& point) {
  return request.max_bubble >= 1 || point.bubble().value <= request.max_bubble * point.step().value;
}

Selection search_all(const PlanRequest& request, const Economy& economy,
                     const std::vector<FittingPoint>& points, Pricing& pricing, std::size_t kept) {
  Selection selection;
  std::vector<std::size_t> all(points.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const auto works = request.objective == Objective::energy ? works_of(request, points)
                                                            : std::vector<StepWork>(points.size());
  price_some(request, economy, points, works, all, pricing, selection);
  sort(selection, kept);
  return selection;
}

Selection search_pruned(const PlanRequest& request, const Economy& economy,
                        const std::vector<FittingPoint>& points, Pricing& pricing,
                        std::size_t kept) {
  const std::vector<StepWork> works = works_of(request, points);
  std::vector<double> bounds;
  for (const StepWork& work : works)
    bounds.push_back(
        score_of(request.objective, economy, std::min(work.at_least, longest_step), work.busy));
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return bounds[a] < bounds[b]; });
  Selection selection;
  std::size_t next = 0;
  while (next < order.size() && bounds[order[next]] <= threshold_of(selection, kept)) {
    const std::size_t end = std::min(order.size(), next + batch_size);
    std::vector<std::size_t> batch(order.begin() + static_cast<std::ptrdiff_t>(next),
                                   order.begin() + static_cast<std::ptrdiff_t>(end));
    std::sort(batch.begin(), batch.end());  // runs of equal tp and pp
    price_some(request, economy, points, works, batch, pricing, selection);
    next = end;
  }
  selection.pruned = static_cast<std::int64_t>(order.size() - next);
  sort(selection, kept);
  return selection;
}

std::vector<std::size_t> pareto_front(const std::vector<PricedPoint>& points,
                                      const Economy& economy) {
  const auto figures = [&](std::size_t i) {
    const Seconds step = points[i].step();
    return std::tuple(step.value, points[i].memory.count, economy.cost(step).value);
  };
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return figures(a) < figures(b); });
  std::vector<std::size_t> front;
  for (const std::size_t i : order) {
    const auto [step, memory, cost] = figures(i);
    const bool beaten = std::any_of(front.begin(), front.end(), [&](std::size_t other) {
      const auto [its_step, its_memory, its_cost] = figures(other);
      return its_step <= step && its_memory <= memory && its_cost <= cost;
    });
    if (!beaten) front.push_back(i);
  }
  return front;
}

}  // namespace railwright::coordinator
