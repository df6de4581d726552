#include "coordinator/planner/selection.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "coordinator/planner/alike.hpp"
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

// The n-th least of the scores; without so many infinity: whatever comes is of use.
double nth_score(std::vector<double> scores, std::size_t n) {
  if (n == 0) return -std::numeric_limits<double>::infinity();
  if (scores.size() < n) return std::numeric_limits<double>::infinity();
  const auto last = scores.begin() + static_cast<std::ptrdiff_t>(n - 1);
  std::nth_element(scores.begin(), last, scores.end());
  return *last;
}

// The score that a further point must reach to be of use.
class Threshold {
 public:
  explicit Threshold(Kept kept) : kept_(kept) {}
  double of(const Selection& selection) {
    for (; seen_ < selection.priced.size(); ++seen_) {
      const PricedPoint& point = selection.priced[seen_];
      scores_.push_back(point.score);
      const auto [family, is_new] = families_.emplace(family_of(point.placed.degrees), point.score);
      if (!is_new) family->second = std::min(family->second, point.score);
    }
    std::vector<double> best;
    for (const auto& [family, score] : families_) best.push_back(score);
    return std::max(nth_score(scores_, kept_.points), nth_score(std::move(best), kept_.families));
  }

 private:
  const Kept kept_;
  std::size_t seen_ = 0;  // points that are only ever added
  std::vector<double> scores_;
  std::map<Family, double> families_;  // the best score of each
};

void sort(Selection& selection, double most) {
  std::erase_if(selection.idle, [&](const PricedPoint& point) { return point.score > most; });
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
  return a.placed.is_usual() && !b.placed.is_usual();
}

void keep_best_orders(std::vector<PricedPoint>& points) {
  std::sort(points.begin(), points.end(), better);
  std::vector<PricedPoint> kept;
  for (PricedPoint& point : points) {
    const auto same = [&](const PricedPoint& other) {
      return other.placed.degrees == point.placed.degrees;
    };
    const auto twin = std::find_if(kept.begin(), kept.end(), same);
    if (twin == kept.end())
      kept.push_back(std::move(point));
    else if (point.placed.is_usual() && !twin->placed.is_usual())
      twin->linear = point.step();
  }
  points = std::move(kept);
}

bool within_bubble(const PlanRequest& request, const PricedPoint& point) {
  return request.max_bubble >= 1 || point.bubble().value <= request.max_bubble * point.step().value;
}

Selection search_all(const PlanRequest& request, const Economy& economy,
                     const std::vector<FittingPoint>& points, Pricing& pricing, Kept kept) {
  Selection selection;
  std::vector<std::size_t> all(points.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const auto works = request.objective == Objective::energy ? works_of(request, points)
                                                            : std::vector<StepWork>(points.size());
  price_some(request, economy, points, works, all, pricing, selection);
  sort(selection, Threshold(kept).of(selection));
  return selection;
}

Selection search_pruned(const PlanRequest& request, const Economy& economy,
                        const std::vector<FittingPoint>& points, Pricing& pricing, Kept kept) {
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
  Threshold threshold(kept);
  std::size_t next = 0;
  while (next < order.size() && bounds[order[next]] <= threshold.of(selection)) {
    const std::size_t end = std::min(order.size(), next + batch_size);
    std::vector<std::size_t> batch(order.begin() + static_cast<std::ptrdiff_t>(next),
                                   order.begin() + static_cast<std::ptrdiff_t>(end));
    std::sort(batch.begin(), batch.end());  // runs of equal tp and pp
    price_some(request, economy, points, works, batch, pricing, selection);
    next = end;
  }
  selection.pruned = static_cast<std::int64_t>(order.size() - next);
  sort(selection, threshold.of(selection));
  return selection;
}

std::vector<PricedPoint> first_of(const std::vector<PricedPoint>& points, Kept kept) {
  std::vector<PricedPoint> first;
  std::set<Family> families;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool is_new = families.insert(family_of(points[i].placed.degrees)).second;
    if (i < kept.points || (is_new && families.size() <= kept.families)) first.push_back(points[i]);
  }
  return first;
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
