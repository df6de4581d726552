#include "coordinator/planner/pricing.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "coordinator/planner/variants.hpp"

namespace railwright::coordinator {

namespace {

// First point of each run of equal tp and pp, and the end; what is emulated remembers nothing.
std::vector<std::size_t> runs_of(const std::vector<Placed>& points, By by) {
  std::vector<std::size_t> runs;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool same = by == By::closed_form && i > 0 &&
                      points[i].degrees.tp == points[i - 1].degrees.tp &&
                      points[i].degrees.pp == points[i - 1].degrees.pp;
    if (!same) runs.push_back(i);
  }
  runs.push_back(points.size());
  return runs;
}

}  // namespace

StepPrice final_price(StepPricer& pricer, const Placed& point, By by) {
  if (by == By::closed_form) return pricer.price(point);
  const bool closed_form = has_closed_form(point.degrees);
  emulator::StepOptions options;
  options.most_instances = closed_form ? most_quick_instances : most_long_instances;
  if (by == By::folded_emulation)
    options.most_looked_at = std::min(most_looked_at, point.degrees.world() - 1);
  StepPrice price = pricer.emulated(point, options);
  return price.refused.empty() || !closed_form ? price : pricer.price(point);
}

Pricing::Pricing(const PlanRequest& request)
    : request_(request),
      groups_(std::make_shared<GroupLines>(request.cluster, request.calibration)) {
  const unsigned threads =
      request.threads > 0 ? request.threads : std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < threads; ++i)
    pricers_.push_back(std::make_unique<StepPricer>(request.cluster, request.training,
                                                    request.calibration, groups_));
}

std::vector<StepPrice> Pricing::prices(const std::vector<Placed>& points, By by,
                                       const std::function<void(std::size_t)>& done) {
  std::vector<StepPrice> prices(points.size());
  const std::vector<std::size_t> runs = runs_of(points, by);
  std::atomic<std::size_t> next_run = 0;
  std::mutex mutex;
  std::size_t count = 0;
  const auto work = [&](StepPricer& pricer) {
    for (std::size_t run = next_run++; run + 1 < runs.size(); run = next_run++)
      for (std::size_t i = runs[run]; i < runs[run + 1]; ++i) {
        prices[i] = final_price(pricer, points[i], by);
        const std::lock_guard lock(mutex);
        if (++count; done) done(count);
      }
  };
  {
    std::vector<std::jthread> threads;
    const std::size_t wanted = std::min(pricers_.size(), std::max<std::size_t>(runs.size(), 2) - 1);
    for (std::size_t i = 1; i < wanted; ++i) threads.emplace_back([&, i] { work(*pricers_[i]); });
    work(*pricers_.front());
  }
  return prices;
}

}  // namespace railwright::coordinator
