#include "coordinator/service/choice.hpp"

#include <algorithm>
#include <cassert>

#include "emulator/jobs.hpp"

namespace railwright::coordinator {

namespace {

emulator::StepFaults faults_of(const SlowLinks& slow, const topology::Cluster& cluster) {
  emulator::StepFaults faults;
  for (const auto& [name, factor] : slow)
    if (const auto link = cluster.graph.link_named(name))
      faults.links.push_back({*link, Instant{0}, {}, factor});
  return faults;
}

}  // namespace

emulator::Plan moved(emulator::Plan plan, const topology::Cluster& cluster, int first_node) {
  const std::int64_t first = cluster.first_of_node(first_node).index;
  const auto by = static_cast<int>(first - plan.placement.first_accelerator);
  plan.placement.first_accelerator = first;
  for (auto& exception : plan.placement.exceptions) exception.accelerator += by;
  return plan;
}

Result<std::vector<Allocation>> price_allocations(const topology::Cluster& cluster,
                                                  const emulator::Plan& plan,
                                                  const std::vector<int>& first_nodes,
                                                  const std::vector<emulator::Plan>& others,
                                                  const SlowLinks& slow) {
  emulator::StepOptions options;
  options.faults = faults_of(slow, cluster);
  std::vector<Allocation> allocations;
  for (const int first_node : first_nodes) {
    std::vector<emulator::Job> jobs = {{"this", moved(plan, cluster, first_node)}};
    for (const emulator::Plan& other : others) jobs.push_back({"other", other});
    const auto results =
        emulator::emulate_jobs(cluster, jobs, topology::default_calibration(), options);
    if (!results) return tl::unexpected(results.error());
    Allocation allocation{first_node, in_seconds(results->front().step.step_time),
                          in_seconds(results->front().alone), 0};
    for (std::size_t j = 1; j < results->size(); ++j)
      allocation.slowdown +=
          in_seconds((*results)[j].step.step_time).value / in_seconds((*results)[j].alone).value -
          1;
    allocations.push_back(allocation);
  }
  return allocations;
}

std::size_t best_of(const std::vector<Allocation>& allocations) {
  assert(!allocations.empty());
  constexpr double worth_it = 0.02;
  Seconds fastest = allocations.front().step;
  for (const Allocation& allocation : allocations) fastest = std::min(fastest, allocation.step);
  const auto price = [&](const Allocation& allocation) {
    return allocation.step.value / fastest.value + allocation.slowdown;
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < allocations.size(); ++i)
    if (price(allocations[i]) + worth_it < price(allocations[best])) best = i;
  return best;
}

Json to_json(const std::vector<Allocation>& allocations, std::size_t best) {
  Json document = {{"chosen", allocations.at(best).first_node}, {"allocations", Json::array()}};
  for (const Allocation& allocation : allocations)
    document["allocations"].push_back({{"first_node", allocation.first_node},
                                       {"step_time_s", allocation.step.value},
                                       {"alone_s", allocation.alone.value},
                                       {"slowdown_of_others", allocation.slowdown}});
  return document;
}

}  // namespace railwright::coordinator
