#include "coordinator/planner/reasons.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/planner/variants.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;

Seconds step_of(const Candidate& candidate) { return candidate.plan.prediction.step_time; }

Reason limit_of(const Candidate& best) {
  const auto& blame = best.plan.prediction.blame;
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::min<std::size_t>(blame.size(), 3); ++i)
    parts.push_back(fmt::format("{} {:.0f} %", blame[i].cause,
                                100 * (in_seconds(blame[i].time) / step_of(best))));
  return {"limit", fmt::format("the step is limited by {}", fmt::join(parts, ", "))};
}

Reason against(const std::string& about, const std::string& name, const Candidate& best,
               const Candidate& other) {
  const double ratio = step_of(other) / step_of(best);
  const std::string difference =
      difference_in_words(best.plan.prediction.blame, other.plan.prediction.blame);
  const std::string who = fmt::format("{} ({})", name, short_words(other.plan.degrees));
  if (best.plan.degrees == other.plan.degrees && ratio == 1)
    return {about, who + " is the same plan"};
  if (ratio == 1)
    return {about, fmt::format("{} takes the same time; the best is the simpler one", who)};
  return {about, fmt::format("{} takes {:.3f} x as long: the best has {}", who, ratio, difference)};
}

// How much the nearest other order would lose in closed form. It may promise a gain there that
// emulation does not hold.
Reason usual_order(const std::vector<Placed>& arrangements, Pricing& pricing) {
  const auto prices = pricing.prices(arrangements, By::closed_form);
  std::size_t nearest = 1;
  for (std::size_t i = 2; i < prices.size(); ++i)
    if (prices[i].step < prices[nearest].step) nearest = i;
  const double more = 100 * (prices[nearest].step / prices.front().step - 1);
  const std::string usual = in_words(arrangements.front()), other = in_words(arrangements[nearest]);
  if (more < 0)
    return {"placement",
            fmt::format("ranks in the usual order {}: {} would save {:.1f} % in closed "
                        "form, which emulation does not confirm",
                        usual, other, -more)};
  return {"placement", fmt::format("the usual order of ranks, {}, is the best of {}: {} would take "
                                   "{:.1f} % longer in closed form",
                                   usual, arrangements.size(), other, more)};
}

// What the order of ranks gives, also where it is the usual one.
Reason placement_of(const Evidence& evidence, const Candidate& best, Pricing& pricing) {
  const Degrees& degrees = best.plan.degrees;
  const Placed placed{degrees, best.plan.placement.order, best.plan.placement.axes};
  if (best.linear_step.value > 0)
    return {"placement",
            fmt::format("ranks in the order {} instead of the usual one save {:.1f} %",
                        in_words(placed), 100 * (1 - step_of(best) / best.linear_step))};
  const auto arrangements = arrangements_of(evidence.request.cluster, degrees);
  if (!placed.is_usual())
    return {"placement",
            fmt::format("ranks in the order {}; the usual one is ruled out", in_words(placed))};
  if (arrangements.size() == 1) return {"placement", "ranks can be placed in one order only"};
  if (evidence.request.linear_only)
    return {"placement", fmt::format("ranks in the usual order; --placement linear tries none of "
                                     "the {} others",
                                     arrangements.size() - 1)};
  if (!has_closed_form(degrees))
    return {"placement", "ranks in the usual order; others are tried for plain 1F1B alone"};
  return usual_order(arrangements, pricing);
}

// The best of the points that memory forbids, if it would win.
std::optional<Reason> forbidden_by_memory(const Evidence& evidence, const Candidate& best,
                                          Pricing& pricing) {
  if (evidence.rejected.empty() || evidence.request.accelerators > most_emulated_ranks)
    return std::nullopt;
  std::vector<FittingPoint> points;
  for (const Degrees& degrees : evidence.rejected) points.push_back({degrees, {}});
  const double best_score = score_of(evidence.request.objective, evidence.economy, step_of(best),
                                     evidence.ranked.front().work.busy);
  const Selection selection =
      search_pruned(evidence.request, evidence.economy, points, pricing, {});
  if (selection.priced.empty() || selection.priced.front().score >= best_score)
    return Reason{"memory", "no plan that memory forbids would be better"};
  const PricedPoint& winner = selection.priced.front();
  const auto tight =
      tightest_stage(evidence.gate, evidence.request.training, winner.placed.degrees);
  return Reason{
      "memory",
      fmt::format(
          "memory binds: {} would take {} in closed form, but needs {:.1f} GiB of {:.1f} GiB",
          short_words(winner.placed.degrees), to_string(winner.step()),
          in_gibibytes(tight.use.total()), in_gibibytes(tight.kind->memory))};
}

// The link class that most of the best plan's time goes to; "": none.
std::string slowest_class(const Candidate& best) {
  for (const auto& entry : best.plan.prediction.blame)
    if (entry.cause.starts_with("link:")) return entry.cause.substr(5);
  return {};
}

// The same request with links of a class that are `factor` times as fast.
std::optional<PlanRequest> with_links(const PlanRequest& request, const std::string& name,
                                      double factor) {
  topology::ClusterSpec spec = request.cluster.spec;
  for (auto& link_class : spec.link_classes)
    if (link_class.name == name) link_class.capacity = factor * link_class.capacity;
  auto cluster = topology::build_cluster(std::move(spec));
  if (!cluster) return std::nullopt;
  PlanRequest changed = request;
  changed.cluster = std::move(*cluster);
  changed.progress = {};
  return changed;
}

// What the plans would take on other links: what was priced last, in the proportion of the closed
// form there to that of here.
std::vector<double> steps_with(const PlanRequest& changed, const std::vector<Placed>& placed,
                               const std::vector<StepPrice>& here,
                               const std::vector<PricedPoint>& ranked) {
  const auto there = Pricing(changed).prices(placed, By::closed_form);
  std::vector<double> steps;
  for (std::size_t i = 0; i < placed.size(); ++i)
    steps.push_back(ranked[i].step().value * (there[i].step / here[i].step));
  return steps;
}

// Re-prices the best plans on other links, until another one wins.
std::optional<Reason> changed_by_links(const Evidence& evidence, const Candidate& best,
                                       Pricing& pricing) {
  constexpr std::int64_t most_ranks = 1024;  // each factor is another cluster, some plans emulated
  const std::string name = slowest_class(best);
  if (name.empty() || evidence.request.accelerators > most_ranks || evidence.ranked.size() < 2)
    return std::nullopt;
  std::vector<Placed> placed;
  for (const PricedPoint& point : evidence.ranked) placed.push_back(point.placed);
  const auto here = pricing.prices(placed, By::closed_form);
  for (const double factor : {2.0, 0.5, 4.0, 0.25}) {
    const auto changed = with_links(evidence.request, name, factor);
    if (!changed) return std::nullopt;
    const auto steps = steps_with(*changed, placed, here, evidence.ranked);
    const auto winner =
        static_cast<std::size_t>(std::min_element(steps.begin(), steps.end()) - steps.begin());
    if (steps[winner] < 0.99 * steps.front())
      return Reason{"links",
                    fmt::format("with {} at {} x its bandwidth {} would be {:.1f} % faster", name,
                                factor, short_words(placed[winner].degrees),
                                100 * (1 - steps[winner] / steps.front()))};
  }
  return Reason{"links", fmt::format("a quarter to four times the bandwidth of {} would not make "
                                     "one of the next {} plans better by more than 1 %",
                                     name, placed.size() - 1)};
}

}  // namespace

std::string short_words(const Degrees& d) {
  std::string words = fmt::format("tp={} pp={} dp={}", d.tp, d.pp, d.dp);
  if (d.cp > 1) words += fmt::format(" cp={}", d.cp);
  if (d.ep > 1) words += fmt::format(" ep={}", d.ep);
  if (d.etp > 1) words += fmt::format(" etp={}", d.etp);
  if (d.vpp > 1) words += fmt::format(" vpp={}", d.vpp);
  if (d.schedule != workload::PipelineSchedule::one_forward_one_backward)
    words += " " + workload::to_string(d.schedule);
  words += fmt::format(" micro_batch={} zero_stage={}", d.micro_batch, d.zero_stage);
  if (d.shard > 0) words += fmt::format(" shard={}", d.shard);
  if (d.sequence_parallel) words += " sequence_parallel";
  if (d.recompute != workload::Recompute::none)
    words += " recompute=" + workload::to_string(d.recompute);
  return words;
}

std::string difference_in_words(const emulator::Blame& mine, const emulator::Blame& other) {
  std::map<std::string, double> difference;  // mine - other
  for (const auto& entry : mine) difference[entry.cause] += in_seconds(entry.time).value;
  for (const auto& entry : other) difference[entry.cause] -= in_seconds(entry.time).value;
  std::vector<std::pair<std::string, double>> sorted(difference.begin(), difference.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::abs(a.second) > std::abs(b.second);
  });
  std::vector<std::string> parts;
  for (const auto& [cause, seconds] : sorted)
    if (parts.size() < 3 && seconds != 0 &&
        (parts.empty() || std::abs(seconds) > 0.05 * std::abs(sorted.front().second)))
      parts.push_back(fmt::format("{} {} {}", to_string(Seconds{std::abs(seconds)}),
                                  seconds < 0 ? "less" : "more", cause));
  return parts.empty() ? "the same causes" : fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<Reason> reasons_of(const Evidence& evidence, const Planning& planning,
                               Pricing& pricing) {
  const Candidate& best = planning.candidates.front();
  std::vector<Reason> reasons = {limit_of(best)};
  if (planning.candidates.size() > 1)
    reasons.push_back(against("next", "the next plan", best, planning.candidates[1]));
  reasons.push_back(
      planning.baseline_fits
          ? against("baseline", "Megatron's rule of thumb", best, planning.baseline)
          : Reason{"baseline", fmt::format("Megatron's rule of thumb ({}) does not fit into memory",
                                           short_words(planning.baseline.plan.degrees))});
  reasons.push_back(placement_of(evidence, best, pricing));
  if (auto reason = forbidden_by_memory(evidence, best, pricing)) reasons.push_back(*reason);
  if (auto reason = changed_by_links(evidence, best, pricing)) reasons.push_back(*reason);
  return reasons;
}

}  // namespace railwright::coordinator
