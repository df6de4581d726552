// plan_training: every point, its memory, its price, the best of them in detail.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "coordinator/coordinator.hpp"
#include "coordinator/planner/alike.hpp"
#include "coordinator/planner/baseline.hpp"
#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/planner/no_points.hpp"
#include "coordinator/planner/reasons.hpp"
#include "coordinator/planner/request.hpp"
#include "coordinator/planner/search.hpp"
#include "coordinator/planner/selection.hpp"
#include "coordinator/planner/variants.hpp"
#include "coordinator/training.hpp"
#include "emulator/plan_order.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;

// The best of the closed form are emulated before the answer: groups that share links are seen by
// emulation only.
constexpr std::size_t emulated_points = 32;
// Of these the first are tried with other pipeline schedules too.
constexpr std::size_t pipelined_points = 8;
// So many points and families are asked for what other links would change.
constexpr std::size_t compared_points = 6;
// Spaces and clusters beyond these are searched with bounds unless told otherwise.
constexpr std::size_t most_points_by_default = 20'000;

bool emulates(const PlanRequest& request) { return request.accelerators <= most_emulated_ranks; }

bool prunes(const PlanRequest& request, std::size_t points) {
  if (request.search != SearchMode::automatic) return request.search == SearchMode::pruned;
  return !emulates(request) || points > most_points_by_default;
}

std::vector<PricedPoint> first_of(const std::vector<PricedPoint>& points, std::size_t count) {
  return {points.begin(),
          points.begin() + static_cast<std::ptrdiff_t>(std::min(count, points.size()))};
}

class Planner {
 public:
  Planner(const PlanRequest& request, const FixedDegrees& fixed)
      : request_(request),
        fixed_(fixed),
        gate_(request.memory_headroom > 0 ? with_headroom(request.cluster, request.memory_headroom)
                                          : topology::Cluster{}),
        economy_(request.cluster, request.accelerators, request.price_per_hour),
        pricing_(request),
        bound_(request.cluster, request.training, request.calibration) {}

  Result<Planning> plan(const std::vector<Degrees>& points);

 private:
  // With less memory where head-room is asked for.
  const topology::Cluster& gate() const {
    return request_.memory_headroom > 0 ? gate_ : request_.cluster;
  }
  bool fits(const Degrees& degrees) const {
    return tightest_stage(gate(), request_.training, degrees).fits();
  }
  Bytes memory_of(const Degrees& degrees) const {
    return workload::peak_memory(request_.training, degrees).total();
  }
  // The best that are emulated, and as many families as are shown.
  Kept kept() const { return {std::max(request_.top, emulated_points), request_.top}; }
  void sort_out(const std::vector<Degrees>& points);
  Selection search();
  void add_splits(std::vector<PricedPoint>& best);
  std::vector<PricedPoint> with_variants(std::vector<PricedPoint> best,
                                         const std::vector<PricedPoint>& idle);
  void add_front(const std::vector<PricedPoint>& priced, std::vector<PricedPoint>& chosen) const;
  void emulate(std::vector<PricedPoint>& points);
  void price_again(std::vector<PricedPoint>& points, By by);
  void emulate_first(std::vector<PricedPoint>& points);
  std::vector<PricedPoint> take_shown(std::vector<PricedPoint>& points) const;
  void compare_orders(std::vector<PricedPoint>& emulated);
  // Of a point that is shown beside the best.
  By by_of_best() const {
    return planning_.points_emulated == 0 ? By::closed_form : by_of_emulated();
  }
  By by_of_emulated() const { return affordable() > 0 ? By::emulation : By::folded_emulation; }
  // So many may be emulated that do not fold into a period.
  std::size_t affordable() const {
    return static_cast<std::size_t>(most_ranks_in_all / request_.accelerators);
  }
  Result<Candidate> candidate(const PricedPoint& point);
  std::vector<Representative> representatives(const std::vector<PricedPoint>& ranked) const;
  std::optional<Errors> add_candidates(const std::vector<PricedPoint>& ranked);
  std::optional<Errors> add_baseline(const std::vector<Degrees>& points);
  void explain_no_fit(const std::vector<Degrees>& points);
  void explain_bubble();

  const PlanRequest& request_;
  const FixedDegrees& fixed_;
  const topology::Cluster gate_;
  const Economy economy_;
  Pricing pricing_;
  StepBound bound_;
  std::vector<FittingPoint> fitting_;
  std::vector<Degrees> rejected_;  // do not fit into memory
  Planning planning_;
  double least_bubble_ = 1;  // share of the step, of all that was priced
};

void Planner::sort_out(const std::vector<Degrees>& points) {
  for (const Degrees& point : points) {
    if (fits(point))
      fitting_.push_back({point, memory_of(point)});
    else
      rejected_.push_back(point);
  }
  planning_.points_total = static_cast<std::int64_t>(points.size());
  planning_.points_rejected_memory = static_cast<std::int64_t>(rejected_.size());
}

Selection Planner::search() {
  planning_.pruned = prunes(request_, fitting_.size());
  Selection selection = (planning_.pruned ? search_pruned : search_all)(request_, economy_,
                                                                        fitting_, pricing_, kept());
  least_bubble_ = selection.least_bubble;
  planning_.points_evaluated = selection.evaluated;
  planning_.points_pruned = selection.pruned;
  return selection;
}

// Of other splits of experts those that are better than the worst of the points.
void Planner::add_splits(std::vector<PricedPoint>& best) {
  std::vector<PricedPoint> splits;
  for (const Degrees& degrees : split_variants(request_.training, best, fixed_))
    if (fits(degrees)) splits.push_back({{degrees}, memory_of(degrees), {}, {}, 0, {}});
  if (splits.empty()) return;
  price_again(splits, By::closed_form);
  std::erase_if(splits, [&](const PricedPoint& point) {
    return !within_bubble(request_, point) || !better(point, best.back());
  });
  best.insert(best.end(), splits.begin(), splits.end());
  std::sort(best.begin(), best.end(), better);
}

// The same points in better orders, and as other pipelines; the idle as such alone.
std::vector<PricedPoint> Planner::with_variants(std::vector<PricedPoint> best,
                                                const std::vector<PricedPoint>& idle) {
  if (!best.empty()) add_splits(best);
  std::vector<PricedPoint> pipelined = first_of(best, pipelined_points);
  const auto others = first_of(idle, pipelined_points);
  pipelined.insert(pipelined.end(), others.begin(), others.end());
  const auto orders =
      request_.linear_only ? std::vector<PricedPoint>{} : better_orders(request_, best, pricing_);
  if (emulates(request_))
    for (const Degrees& degrees : pipeline_variants(request_.training, pipelined, fixed_))
      if (fits(degrees)) best.push_back({{degrees}, memory_of(degrees), {}, {}, 0, {}});
  best.insert(best.end(), orders.begin(), orders.end());
  return best;
}

void Planner::price_again(std::vector<PricedPoint>& points, By by) {
  std::vector<Placed> placed;
  for (const PricedPoint& point : points) placed.push_back(point.placed);
  const auto prices = pricing_.prices(placed, by);
  for (std::size_t i = 0; i < points.size(); ++i) {
    PricedPoint& point = points[i];
    point.price = prices[i];
    point.work = bound_.of(point.placed.degrees);
    point.score = score_of(request_.objective, economy_, point.step(), point.work.busy);
  }
}

// Emulates where that is quick, and ranks by what it says.
void Planner::emulate(std::vector<PricedPoint>& points) {
  const auto too_idle = [&](const PricedPoint& point) { return !within_bubble(request_, point); };
  price_again(points, emulates(request_) ? By::emulation : By::closed_form);
  for (const PricedPoint& point : points)
    least_bubble_ = std::min(least_bubble_, point.bubble() / point.step());
  std::erase_if(points, too_idle);
  const auto priced = [](const PricedPoint& point) { return point.price.refused.empty(); };
  if (std::ranges::any_of(points, priced))
    std::erase_if(points, std::not_fn(priced));
  else  // pipelines without a closed form alone, however long these take
    price_again(points, By::closed_form);
  keep_best_orders(points);
  if (!emulates(request_)) emulate_first(points);
  // What was too large to be emulated is promised by the closed form alone.
  std::stable_partition(points.begin(), points.end(),
                        [](const PricedPoint& point) { return point.price.emulated; });
  planning_.points_emulated = std::count_if(
      points.begin(), points.end(), [](const PricedPoint& point) { return point.price.emulated; });
}

// The closed form sees no contention and promises more than emulation holds, so the two are not
// ranked against each other: what is emulated comes first. Of each family that is shown the best
// one is emulated, then the best of all.
void Planner::emulate_first(std::vector<PricedPoint>& points) {
  std::vector<PricedPoint> folded = take_shown(points);
  std::vector<PricedPoint> first = first_of(folded, std::min(folded.size(), affordable()));
  folded.erase(folded.begin(), folded.begin() + static_cast<std::ptrdiff_t>(first.size()));
  price_again(first, By::emulation);
  price_again(folded, By::folded_emulation);
  first.insert(first.end(), folded.begin(), folded.end());
  std::erase_if(first, [&](const PricedPoint& point) { return !within_bubble(request_, point); });
  std::sort(first.begin(), first.end(), [](const PricedPoint& one, const PricedPoint& other) {
    if (one.price.emulated != other.price.emulated) return one.price.emulated;
    return better(one, other);
  });
  if (!first.empty() && first.front().price.emulated) compare_orders(first);
  points.insert(points.begin(), first.begin(), first.end());
}

// As many as are emulated, out of the points, which stay in their order.
std::vector<PricedPoint> Planner::take_shown(std::vector<PricedPoint>& points) const {
  std::vector<bool> taken(points.size(), false);
  std::vector<PricedPoint> shown;
  const auto take = [&](std::size_t index) {
    if (taken[index] || shown.size() == emulated_points) return;
    taken[index] = true;
    shown.push_back(points[index]);
  };
  for (const Representative& one : representatives(points))
    if (shown.size() < request_.top) take(one.index);
  for (std::size_t i = 0; i < points.size(); ++i) take(i);
  std::size_t at = 0;
  std::erase_if(points, [&](const PricedPoint&) { return taken[at++]; });
  return shown;
}

// What the usual order of ranks takes was told in closed form. Of the best point it is emulated,
// and taken where it is better.
void Planner::compare_orders(std::vector<PricedPoint>& emulated) {
  PricedPoint& best = emulated.front();
  const bool other_order = best.linear.value > 0;
  for (PricedPoint& point : emulated)
    if (point.price.emulated) point.linear = {};
  if (!other_order) return;
  std::vector<PricedPoint> usual = {best};
  usual.front().placed = {best.placed.degrees};
  price_again(usual, by_of_emulated());
  if (!usual.front().price.emulated) return;
  if (usual.front().step() <= best.step())
    best = usual.front();
  else
    best.linear = usual.front().step();
}

Result<Candidate> Planner::candidate(const PricedPoint& point) {
  const auto& [degrees, order, axes] = point.placed;
  const StepPrice& price = point.price;
  auto plan = emulator::make_plan_in_order(order, request_.cluster, request_.training, degrees,
                                           request_.calibration, request_.first_accelerator,
                                           pricing_.schedules(), axes);
  if (!plan) return tl::unexpected(plan.error());
  if (!price.refused.empty()) return tl::unexpected(price.refused);
  if (price.step >= longest_step)
    return failure({}, fmt::format("a step takes weeks with {}", workload::to_string(degrees)),
                   "use more accelerators, or a smaller --global-batch or --sequence");
  plan->prediction = prediction_of(price, request_.training, degrees, request_.cluster);
  Candidate candidate{
      std::move(*plan), workload::peak_memory(request_.training, degrees), {}, {}, {}, {}, {}, 0};
  const auto& blame = candidate.plan.prediction.blame;
  if (!blame.empty()) candidate.bound_by = blame.front().cause;
  const Seconds step = candidate.plan.prediction.step_time;
  candidate.cost = economy_.cost(step);
  candidate.energy = economy_.energy(step, point.work.busy);
  candidate.linear_step = point.linear;
  candidate.emulated = price.emulated;
  return candidate;
}

// Of each family of plans the best, or all of them.
std::vector<Representative> Planner::representatives(const std::vector<PricedPoint>& ranked) const {
  std::vector<Representative> all;
  std::vector<Degrees> degrees;
  for (const PricedPoint& point : ranked) {
    all.push_back({degrees.size(), 0});
    degrees.push_back(point.placed.degrees);
  }
  return request_.list_alike ? all : first_of_families(degrees);
}

std::optional<Errors> Planner::add_candidates(const std::vector<PricedPoint>& ranked) {
  for (const Representative& one : representatives(ranked)) {
    if (planning_.candidates.size() == request_.top) break;
    auto made = candidate(ranked[one.index]);
    if (!made) return made.error();
    planning_.candidates.push_back(std::move(*made));
    planning_.candidates.back().alike = one.alike;
  }
  for (const std::size_t i : pareto_front(ranked, economy_)) {
    const PricedPoint& point = ranked[i];
    planning_.pareto.push_back({point.placed.degrees, in_words(point.placed), point.step(),
                                point.memory, economy_.cost(point.step()),
                                economy_.energy(point.step(), point.work.busy)});
  }
  return std::nullopt;
}

std::optional<Errors> Planner::add_baseline(const std::vector<Degrees>& points) {
  const int node = request_.cluster.spec.nodes.front().accelerators;
  const RuleOfThumb rule =
      rule_of_thumb(points, fixed_, node, [&](const Degrees& degrees) { return fits(degrees); });
  std::vector<PricedPoint> point = {{{rule.degrees}, memory_of(rule.degrees), {}, {}, 0, {}}};
  price_again(point, by_of_best());
  if (!point.front().price.refused.empty()) price_again(point, By::closed_form);
  auto made = candidate(point.front());
  if (!made) return made.error();
  planning_.baseline = std::move(*made);
  planning_.baseline_fits = rule.fits;
  return std::nullopt;
}

void Planner::explain_no_fit(const std::vector<Degrees>& points) {
  planning_.baseline_fits = false;
  planning_.infeasible_reason = why_nothing_fits(gate(), request_.training, points);
  if (request_.memory_headroom > 0)
    planning_.infeasible_reason +=
        fmt::format(" ({:.0f} % of the memory is kept free)", 100 * request_.memory_headroom);
  planning_.infeasible_hint = what_would_fit(gate(), request_.training, request_.accelerators,
                                             fixed_, request_.memory_headroom);
}

void Planner::explain_bubble() {
  planning_.baseline_fits = false;
  planning_.infeasible_reason = fmt::format(
      "no point spends {:.1f} % or less of the step waiting for other stages: the least "
      "is {:.1f} %",
      100 * request_.max_bubble, 100 * least_bubble_);
  planning_.infeasible_hint = fmt::format("write --max-bubble {:.0f}%", 100 * least_bubble_ + 1);
}

// Points of the front that are not among the chosen, so that they are emulated too.
void Planner::add_front(const std::vector<PricedPoint>& priced,
                        std::vector<PricedPoint>& chosen) const {
  std::size_t added = 0;
  for (const std::size_t i : pareto_front(priced, economy_)) {
    const auto same = [&](const PricedPoint& point) { return point.placed == priced[i].placed; };
    if (added == emulated_points) return;
    if (std::any_of(chosen.begin(), chosen.end(), same)) continue;
    chosen.push_back(priced[i]);
    ++added;
  }
}

Result<Planning> Planner::plan(const std::vector<Degrees>& points) {
  planning_.assumptions = economy_.assumptions();
  for (const auto* kind : used_kinds(request_))
    if (auto line = assumed_rate(*kind, request_.training.precision))
      planning_.assumptions.push_back(std::move(*line));
  planning_.uncertainty = uncertainty_of(used_kinds(request_), request_.calibration);
  sort_out(points);
  if (fitting_.empty()) {
    explain_no_fit(points);
    return planning_;
  }
  Selection selection = search();
  std::vector<PricedPoint> chosen = first_of(selection.priced, kept());
  chosen = with_variants(std::move(chosen), selection.idle);
  add_front(selection.priced, chosen);
  emulate(chosen);
  if (chosen.empty()) {
    explain_bubble();
    return planning_;
  }
  if (auto errors = add_candidates(chosen)) return tl::unexpected(*errors);
  if (auto errors = add_baseline(points)) return tl::unexpected(*errors);
  const auto others = first_of(chosen, Kept{compared_points, compared_points});
  planning_.reasons =
      reasons_of({request_, gate(), economy_, rejected_, others}, planning_, pricing_);
  return std::move(planning_);
}

}  // namespace

Result<Planning> plan_training(const PlanRequest& request) {
  if (const auto error = wrong_request(request)) return tl::unexpected(Errors{*error});
  const auto fixed = parse_fixed(request.fix);
  if (!fixed) return tl::unexpected(Errors{fixed.error()});
  const auto points = points_of(request.training, request.accelerators, *fixed);
  if (points.empty())
    return tl::unexpected(
        Errors{why_no_points(request.training, request.accelerators,
                             request.cluster.accelerators() - request.first_accelerator, *fixed)});
  return Planner(request, *fixed).plan(points);
}

}  // namespace railwright::coordinator
