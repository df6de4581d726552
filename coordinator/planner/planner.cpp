// plan_training: every point, its memory, its price, the best of them.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <mutex>
#include <optional>
#include <thread>

#include "coordinator/coordinator.hpp"
#include "coordinator/planner/baseline.hpp"
#include "coordinator/planner/memory_gate.hpp"
#include "coordinator/planner/price.hpp"
#include "coordinator/planner/search.hpp"
#include "coordinator/training.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;

// A longer step has no place in event time.
constexpr Seconds longest_step = in_seconds(emulator::latest_end - Instant{});

// Accelerators from the first one on, of the kinds that prices are made for.
std::optional<ConfigError> wrong_place(const PlanRequest& request) {
  const topology::Cluster& cluster = request.cluster;
  if (request.first_accelerator + request.accelerators > cluster.accelerators())
    return ConfigError{{},
                       fmt::format("--accelerators {}: from that node on cluster '{}' has {}",
                                   request.accelerators, cluster.spec.name,
                                   cluster.accelerators() - request.first_accelerator),
                       "write fewer, or an earlier --first-node"};
  for (std::int64_t i = 0; request.first_accelerator > 0 && i < request.accelerators; ++i) {
    const topology::AcceleratorId priced{static_cast<int>(i)};
    const topology::AcceleratorId real{static_cast<int>(request.first_accelerator + i)};
    if (cluster.kind_of(priced).name != cluster.kind_of(real).name)
      return ConfigError{{},
                         fmt::format("{} has {}, and the cluster's first nodes have {}",
                                     cluster.node_name(cluster.node_of(real)),
                                     cluster.kind_of(real).name, cluster.kind_of(priced).name),
                         "choose nodes of the first kind, or describe those nodes alone"};
  }
  return std::nullopt;
}

std::optional<ConfigError> wrong_request(const PlanRequest& request) {
  if (request.accelerators < 1)
    return ConfigError{{}, "--accelerators must be at least 1", "write how many ranks to use"};
  if (request.accelerators > request.cluster.accelerators())
    return ConfigError{{},
                       fmt::format("--accelerators {}: cluster '{}' has {}", request.accelerators,
                                   request.cluster.spec.name, request.cluster.accelerators()),
                       fmt::format("write {} or fewer, or describe a larger cluster",
                                   request.cluster.accelerators())};
  if (const auto error = wrong_place(request)) return error;
  if (auto error = wrong_batch(request.training.global_batch, request.training.sequence))
    return error;
  workload::Degrees all;
  all.dp = static_cast<int>(request.accelerators);
  return missing_precision(kinds_under(request.cluster, all, 0), request.training.precision);
}

// The best of the closed form are emulated before the answer: groups that share links are seen by
// emulation only. Steps of more ranks take too long for that.
constexpr std::size_t emulated_points = 32;
constexpr std::int64_t most_emulated_ranks = 8192;

bool emulates(const PlanRequest& request) { return request.accelerators <= most_emulated_ranks; }

// By the closed form where emulation refuses the step, as being too large.
StepPrice final_price(const PlanRequest& request, StepPricer& pricer, const Degrees& degrees) {
  if (emulates(request))
    if (StepPrice price = pricer.emulated(degrees); price.refused.empty()) return price;
  return pricer.price(degrees);
}

enum class By : std::uint8_t { closed_form, emulation };

// Prices points on several threads. Work is handed out in runs of equal tp and pp, so that each
// thread's memory of groups is of use; every price is a pure function of its point, hence the
// outcome is the same for any number of threads.
class ParallelPricing {
 public:
  ParallelPricing(const PlanRequest& request, const std::vector<Degrees>& points, By by)
      : request_(request), points_(points), by_(by), steps_(points.size()) {
    for (std::size_t i = 0; i < points.size(); ++i)
      if (i == 0 || points[i].tp != points[i - 1].tp || points[i].pp != points[i - 1].pp)
        runs_.push_back(i);
    runs_.push_back(points.size());
  }

  // Step times in the order of the points.
  std::vector<Picoseconds> run() {
    const unsigned wanted =
        request_.threads > 0 ? request_.threads : std::max(1u, std::thread::hardware_concurrency());
    const auto count = std::min<std::size_t>(wanted, runs_.size() - 1);
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 1; i < count; ++i) threads.emplace_back([this] { work(); });
      work();
    }
    return std::move(steps_);
  }

 private:
  void work() {
    StepPricer pricer(request_.cluster, request_.training, request_.calibration);
    for (std::size_t run = next_run_++; run + 1 < runs_.size(); run = next_run_++)
      for (std::size_t i = runs_[run]; i < runs_[run + 1]; ++i) {
        const StepPrice price = by_ == By::emulation ? final_price(request_, pricer, points_[i])
                                                     : pricer.price(points_[i]);
        steps_[i] = ceil_picoseconds(std::min(price.step, longest_step));
        report();
      }
  }

  void report() {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (request_.progress)
      request_.progress(static_cast<double>(done_) / static_cast<double>(points_.size()));
  }

  const PlanRequest& request_;
  const std::vector<Degrees>& points_;
  const By by_;
  std::vector<Picoseconds> steps_;
  std::vector<std::size_t> runs_;  // first point of each run, and the end
  std::atomic<std::size_t> next_run_ = 0;
  std::mutex mutex_;
  std::size_t done_ = 0;
};

Result<Candidate> make_candidate(const PlanRequest& request, const Degrees& degrees,
                                 StepPricer& pricer) {
  auto plan = emulator::make_plan(request.cluster, request.training, degrees, request.calibration,
                                  request.first_accelerator);
  if (!plan) return tl::unexpected(plan.error());
  const StepPrice price = final_price(request, pricer, degrees);
  if (!price.refused.empty()) return tl::unexpected(price.refused);
  if (price.step >= longest_step)
    return failure({}, fmt::format("a step takes weeks with {}", workload::to_string(degrees)),
                   "use more accelerators, or a smaller --global-batch or --sequence");
  plan->prediction = prediction_of(price, request.training, degrees, request.cluster);
  Candidate candidate{std::move(*plan), workload::peak_memory(request.training, degrees), {}};
  const auto& blame = candidate.plan.prediction.blame;
  if (!blame.empty()) candidate.bound_by = blame.front().cause;
  return candidate;
}

// Indices of the fastest points; equal times go to the simpler plan.
std::vector<std::size_t> ranking(const std::vector<Degrees>& points,
                                 const std::vector<Picoseconds>& steps, std::size_t top) {
  std::vector<std::size_t> order(points.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::size_t kept = std::min(top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [&](std::size_t a, std::size_t b) {
                      if (steps[a] != steps[b]) return steps[a] < steps[b];
                      return simpler(points[a], points[b]);
                    });
  order.resize(kept);
  return order;
}

}  // namespace

Result<Planning> plan_training(const PlanRequest& request) {
  if (const auto error = wrong_request(request)) return tl::unexpected(Errors{*error});
  const auto fixed = parse_fixed(request.fix);
  if (!fixed) return tl::unexpected(Errors{fixed.error()});
  const auto points = points_of(request.training, request.accelerators, *fixed);
  if (points.empty())
    return tl::unexpected(Errors{why_no_points(request.training, request.accelerators, *fixed)});

  const auto fits = [&](const Degrees& degrees) {
    return tightest_stage(request.cluster, request.training, degrees).fits();
  };
  std::vector<Degrees> fitting;
  std::copy_if(points.begin(), points.end(), std::back_inserter(fitting), fits);

  Planning planning;
  planning.points_total = static_cast<std::int64_t>(points.size());
  planning.points_evaluated = static_cast<std::int64_t>(fitting.size());
  planning.points_rejected_memory = planning.points_total - planning.points_evaluated;
  if (fitting.empty()) {
    planning.baseline_fits = false;
    planning.infeasible_reason = why_nothing_fits(request.cluster, request.training, points);
    planning.infeasible_hint =
        what_would_fit(request.cluster, request.training, request.accelerators, *fixed);
    return planning;
  }
  std::vector<Picoseconds> steps = ParallelPricing(request, fitting, By::closed_form).run();
  if (emulates(request)) {
    std::vector<Degrees> best;
    for (const std::size_t index : ranking(fitting, steps, std::max(request.top, emulated_points)))
      best.push_back(fitting[index]);
    fitting = std::move(best);
    steps = ParallelPricing(request, fitting, By::emulation).run();
  }

  StepPricer pricer(request.cluster, request.training, request.calibration);
  for (const std::size_t index : ranking(fitting, steps, request.top)) {
    auto candidate = make_candidate(request, fitting[index], pricer);
    if (!candidate) return tl::unexpected(candidate.error());
    planning.candidates.push_back(std::move(*candidate));
  }
  const int node = request.cluster.spec.nodes.front().accelerators;
  const RuleOfThumb rule = rule_of_thumb(points, *fixed, node, fits);
  auto baseline = make_candidate(request, rule.degrees, pricer);
  if (!baseline) return tl::unexpected(baseline.error());
  planning.baseline = std::move(*baseline);
  planning.baseline_fits = rule.fits;
  return planning;
}

}  // namespace railwright::coordinator
