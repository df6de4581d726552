// What is slow, from the reports of all ranks: {"rank", "host", "wait_s", "kinds": [{"group", "op",
// "bytes", "ranks", "class", "links", "calls", "time_s"}]}.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "topology/units.hpp"

namespace railwright::worker {

double median(std::vector<double> values);

// Ranks that the others wait for more than a tenth of the run: {"rank", "host", "late_s"}.
nlohmann::ordered_json slow_ranks(const std::vector<nlohmann::ordered_json>& reports,
                                  const std::vector<Seconds>& steps);

// Edges {"ranks": [source, target], "messages", "bytes", "bandwidth_bytes_per_s", "path", "links"}
// that carry less than half of what is usual among at least three like them: over links of the same
// classes (`path`), inside a machine or between machines, with messages of about their size. They
// come back with "usual_bytes_per_s" and "usual_s", to be compared with "time_s", and in "links"
// those of their links that no healthy edge lies on: none, when it cannot be told which is slow.
// `first_of`: of every rank the first rank of its machine.
std::vector<nlohmann::ordered_json> slow_edges(const std::vector<nlohmann::ordered_json>& edges,
                                               const std::vector<int>& first_of);

// Groups that take over 1.5 times the usual of at least three that make the same collective:
// {"class", "links", "ranks", "op", "time_s", "usual_s"}, and where one of `edges`, the slow ones,
// is inside the group "edge": its ranks.
nlohmann::ordered_json slow_links(const std::vector<nlohmann::ordered_json>& reports,
                                  const std::vector<nlohmann::ordered_json>& edges = {});

// Links of groups that slow_links compares with others, and of edges that carry as much as others:
// where they are not among the slow ones they are healthy.
std::set<std::string> judged_links(const std::vector<nlohmann::ordered_json>& reports,
                                   const std::vector<nlohmann::ordered_json>& edges = {},
                                   const std::vector<int>& first_of = {});

}  // namespace railwright::worker
