#include "coordinator/planner/causes.hpp"

#include <cassert>
#include <numeric>

namespace railwright::coordinator {

namespace {

constexpr const char* fixed_names[fixed_causes] = {
    "tensor_peak",      "tensor_inefficiency", "hbm",         "launch", "host", "link_latency",
    "software_latency", "pipeline_bubble",     "interference"};

std::string name_of(std::size_t cause, const topology::Graph& graph) {
  return cause < fixed_causes ? fixed_names[cause]
                              : "link:" + graph.classes[cause - fixed_causes].name;
}

}  // namespace

void CauseSeconds::add(const CauseSeconds& other, double times) {
  assert(seconds_.size() == other.seconds_.size());
  for (std::size_t i = 0; i < seconds_.size(); ++i) seconds_[i] += times * other.seconds_[i];
}

void CauseSeconds::add(const workload::ComputeTime& time) {
  of(Cause::tensor_peak) += time.tensor_peak.value;
  of(Cause::tensor_inefficiency) += time.tensor_inefficiency.value;
  of(Cause::hbm) += time.hbm.value;
  of(Cause::launch) += time.launch.value;
  of(Cause::host) += time.host.value;
}

void CauseSeconds::add(const std::string& cause, Seconds time, const topology::Graph& graph) {
  if (time.value == 0) return;
  std::size_t i = 0;
  while (i < seconds_.size() && cause != name_of(i, graph)) ++i;
  assert(i < seconds_.size() && "a cause that prices do not know");
  seconds_[i] += time.value;
}

double CauseSeconds::total() const {
  return std::accumulate(seconds_.begin(), seconds_.end(), 0.0);
}

std::vector<std::pair<std::string, Seconds>> CauseSeconds::named(
    const topology::Graph& graph) const {
  std::vector<std::pair<std::string, Seconds>> parts;
  for (std::size_t i = 0; i < seconds_.size(); ++i) {
    if (seconds_[i] <= 0) continue;
    parts.emplace_back(name_of(i, graph), Seconds{seconds_[i]});
  }
  return parts;
}

}  // namespace railwright::coordinator
