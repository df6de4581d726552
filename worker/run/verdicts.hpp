// What is slow, from the reports of all ranks: {"rank", "host", "wait_s", "kinds": [{"group", "op",
// "bytes", "ranks", "class", "links", "calls", "time_s"}]}.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "topology/units.hpp"

namespace railwright::worker {

double median(std::vector<double> values);

// Ranks that the others wait for more than a tenth of the run: {"rank", "host", "late_s"}.
nlohmann::ordered_json slow_ranks(const std::vector<nlohmann::ordered_json>& reports,
                                  const std::vector<Seconds>& steps);

// Groups that take over 1.5 times the usual of at least three that make the same collective:
// {"class", "links", "ranks", "op", "time_s", "usual_s"}.
nlohmann::ordered_json slow_links(const std::vector<nlohmann::ordered_json>& reports);

}  // namespace railwright::worker
