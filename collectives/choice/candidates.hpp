// Which schedules are worth pricing, and the fastest of them. Internal to the choice.
#pragma once

#include <functional>
#include <vector>

#include "collectives/choice/layout.hpp"
#include "collectives/schedule.hpp"

namespace railwright::collectives {

// In the order in which ties are decided; never empty.
std::vector<Schedule> candidates(Operation operation, Bytes size, const Members& members,
                                 const Layout& layout, const topology::Cluster& cluster);

// `time_of` is asked for those that may be the fastest; `software` is what each of their waiting
// steps takes at least.
Schedule fastest_of(const std::vector<Schedule>& all, Seconds software,
                    const std::function<Seconds(const Schedule&)>& time_of);

}  // namespace railwright::collectives
