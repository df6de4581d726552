// Prices of many points on several threads, the same for any number of them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "coordinator/coordinator.hpp"
#include "coordinator/planner/price.hpp"

namespace railwright::coordinator {

// Folded: emulation, where one period of the fabric tells all (StepOptions::most_looked_at).
enum class By : std::uint8_t { closed_form, folded_emulation, emulation };

// A longer step has no place in event time.
inline constexpr Seconds longest_step = in_seconds(emulator::latest_end - Instant{});
// Up to so many accelerators all that is priced last is emulated.
inline constexpr std::int64_t most_emulated_ranks = 8192;
// Beyond, the best that fold into a period, and others so far as their ranks add up to this: a rank
// that is looked at takes some 35 us.
inline constexpr std::int64_t most_ranks_in_all = 1 << 19;
inline constexpr std::int64_t most_looked_at = 1 << 17;
// Of classes of ranks, where there is a closed form instead and where there is none: a second or
// two, and four.
inline constexpr std::int64_t most_quick_instances = 2'000'000;
inline constexpr std::int64_t most_long_instances = 4'000'000;

// By the closed form, if there is one, where emulation refuses the step as too large.
StepPrice final_price(StepPricer& pricer, const Placed& point, By by);

class Pricing {
 public:
  explicit Pricing(const PlanRequest& request);

  // In the order of the points. Work is handed out in runs of equal tp and pp, so that what a
  // thread remembers of groups is of use. `done` is told how many points of these are priced.
  std::vector<StepPrice> prices(const std::vector<Placed>& points, By by,
                                const std::function<void(std::size_t)>& done = {});
  // Of plans: knows what prices were made of.
  emulator::BestSchedule schedules() const { return schedules_of(groups_); }

 private:
  const PlanRequest& request_;
  std::shared_ptr<GroupLines> groups_;
  std::vector<std::unique_ptr<StepPricer>> pricers_;  // one per thread
};

}  // namespace railwright::coordinator
