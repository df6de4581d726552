// Which points of a space are the best: all of them priced, or only those that a bound leaves.
#pragma once

#include <algorithm>
#include <vector>

#include "coordinator/planner/bound.hpp"
#include "coordinator/planner/economics.hpp"
#include "coordinator/planner/pricing.hpp"

namespace railwright::coordinator {

// A point that fits into memory, with what is known before it is priced.
struct FittingPoint {
  workload::Degrees degrees;
  Bytes memory;  // of the fullest stage
};

struct PricedPoint {
  Placed placed;
  Bytes memory;
  StepWork work;
  StepPrice price;
  double score = 0;  // in the unit of the objective; less is better
  Seconds linear;    // step with ranks in the default order, where they are in another; else 0
  Seconds step() const { return in_seconds(ceil_picoseconds(std::min(price.step, longest_step))); }
  Seconds bubble() const { return {price.causes.of(Cause::pipeline_bubble)}; }
};

// Seconds, dollars or joules of a step.
double score_of(Objective objective, const Economy& economy, Seconds step, Seconds busy);

// Less is better; equal scores go to the simpler plan: simpler(), then the default order of ranks.
bool better(const PricedPoint& a, const PricedPoint& b);

// Of points with the same degrees the better order stays, and knows what the usual one takes; the
// result is sorted, best first.
void keep_best_orders(std::vector<PricedPoint>& points);

// Bubble that is too large for --max-bubble.
bool within_bubble(const PlanRequest& request, const PricedPoint& point);

// What was priced of a space, best first.
struct Selection {
  std::vector<PricedPoint> priced;
  // Their bubble is too large, though they would be among the best: other pipelines may have less.
  std::vector<PricedPoint> idle;
  std::int64_t evaluated = 0, pruned = 0;
  double least_bubble = 1;  // share of the step, of all that was priced
};

// What counts of a selection: the best points, and the best of each of the first families
// (alike.hpp).
struct Kept {
  std::size_t points = 1, families = 1;
};

// Prices every point. `kept`: what counts, as below.
Selection search_all(const PlanRequest& request, const Economy& economy,
                     const std::vector<FittingPoint>& points, Pricing& pricing, Kept kept);

// Prices points in the order of their bounds (bound.hpp), a batch at a time, until the bound of the
// next is beyond the score of the last that counts: no point that is left can be among these.
// Batches do not depend on the number of threads. What `kept` counts is that of search_all(), and
// the idle.
Selection search_pruned(const PlanRequest& request, const Economy& economy,
                        const std::vector<FittingPoint>& points, Pricing& pricing, Kept kept);

// Of points sorted best first those that `kept` counts, in their order.
std::vector<PricedPoint> first_of(const std::vector<PricedPoint>& points, Kept kept);

// Of points sorted best first, those that no other beats in one of step, memory and cost without
// losing in another; ascending by step. What costs the same at the same step counts once.
std::vector<std::size_t> pareto_front(const std::vector<PricedPoint>& points,
                                      const Economy& economy);

}  // namespace railwright::coordinator
