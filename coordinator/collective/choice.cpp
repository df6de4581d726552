#include "coordinator/collective/choice.hpp"

#include <fmt/format.h>

namespace railwright::coordinator {
namespace {

using collectives::Algorithm;
using collectives::Schedule;
using emulator::Detail;
namespace nccl = collectives::nccl;

constexpr std::int64_t most_sends = 20'000'000;         // by steps: some 4 GB
constexpr std::int64_t most_steps_at_once = 300'000;    // sends of one step, by steps: minutes
constexpr std::int64_t most_connections = 100'000'000;  // of one step, by phases

Schedule rooted(Schedule schedule, const CollectiveRequest& request) {
  if (request.has_root()) schedule.root = request.root;
  return schedule;
}

Schedule named_schedule(Algorithm algorithm, const CollectiveRequest& request) {
  return rooted(
      collectives::schedule_for(request.operation, algorithm, request.members, request.cluster),
      request);
}

// Empty when the schedule exists and this machine can hold it.
std::string refusal_of(const Schedule& schedule, Detail detail) {
  if (std::string why = collectives::why_not(schedule); !why.empty()) return why;
  const std::int64_t sends = emulator::send_estimate(schedule);
  const std::int64_t at_once = std::int64_t{schedule.ranks} * collectives::channel_count(schedule);
  const std::string name = to_string(schedule.algorithm);
  if (detail == Detail::steps && (sends > most_sends || at_once > most_steps_at_once))
    return fmt::format("{}: {} sends, {} of them at once, are too many to emulate one by one", name,
                       sends, at_once);
  if (at_once > most_connections)
    return fmt::format("{}: {} connections at once are too many", name, at_once);
  return {};
}

std::string list_of(const std::vector<Algorithm>& algorithms) {
  std::string list;
  for (const Algorithm algorithm : algorithms)
    list += (list.empty() ? "" : ", ") + to_string(algorithm);
  return list;
}

tl::unexpected<Errors> refused(const std::string& why, const CollectiveRequest& request) {
  const std::string apply = list_of(applicable_algorithms(request));
  std::string hint = "choose fewer --ranks";
  if (!apply.empty())
    hint = fmt::format("these do {} over these {} ranks: {}", to_string(request.operation),
                       request.ranks(), apply);
  if (request.detail == Detail::steps) hint += "; --detail phases takes more of them";
  return failure({}, why, hint);
}

// Ours that does what NCCL's does; the simpler stands in for one that is not applicable.
std::vector<Algorithm> kin_of(nccl::Algorithm algorithm) {
  switch (algorithm) {
    case nccl::Algorithm::tree:
      return {Algorithm::double_tree, Algorithm::binomial_tree};
    case nccl::Algorithm::ring:
      return {Algorithm::ring};
    case nccl::Algorithm::collnet_direct:
    case nccl::Algorithm::collnet_chain:
      return {Algorithm::sharp};
    case nccl::Algorithm::nvls:
      return {Algorithm::nvls, Algorithm::sharp};
    case nccl::Algorithm::nvls_tree:
      return {Algorithm::nvls_tree};
    case nccl::Algorithm::pat:
      return {Algorithm::pat};
  }
  return {};
}

}  // namespace

std::vector<Algorithm> applicable_algorithms(const CollectiveRequest& request) {
  std::vector<Algorithm> found;
  for (int i = 0; i < collectives::algorithm_count; ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    if (refusal_of(named_schedule(algorithm, request), request.detail).empty())
      found.push_back(algorithm);
  }
  return found;
}

Chooser::Chooser(const CollectiveRequest& request, const topology::Router& router)
    : request_(request),
      router_(router),
      placement_(nccl::placement_of(request.cluster, request.members)) {}

std::optional<nccl::Choice> Chooser::nccl_takes(Bytes size) const {
  if (!placement_) return {};
  return nccl::predict(
      *request_.nccl_constants, *placement_->platform,
      {request_.operation, size, request_.ranks(), placement_->nodes, request_.type.fp8});
}

Choice Chooser::fastest(Bytes size, const std::string& why) const {
  return {rooted(collectives::best_schedule(request_.operation, size, request_.members, router_,
                                            request_.calibration),
                 request_),
          "best", why};
}

Choice Chooser::as_nccl(Bytes size) const {
  if (!placement_)
    return fastest(size, "no data say what NCCL does with these ranks: the fastest we know");
  const auto takes = nccl_takes(size);
  if (!takes)
    return fastest(size, fmt::format("NCCL has no model of {}: the fastest we know",
                                     to_string(request_.operation)));
  const std::string pick = fmt::format(
      "NCCL {} takes {}/{} on {}", request_.nccl_constants->version, to_string(takes->algorithm),
      to_string(takes->protocol), placement_->platform->name);
  for (const Algorithm algorithm : kin_of(takes->algorithm)) {
    const Schedule schedule = named_schedule(algorithm, request_);
    if (refusal_of(schedule, request_.detail).empty()) return {schedule, "nccl", pick};
  }
  return fastest(size, pick + ", which has no schedule here: the fastest we know");
}

Result<Choice> Chooser::choice(const Wanted& wanted, Bytes size) const {
  Choice choice;
  if (wanted.rule == Rule::nccl) choice = as_nccl(size);
  if (wanted.rule == Rule::best) choice = fastest(size, "the fastest we know");
  if (wanted.rule == Rule::named) choice.schedule = named_schedule(wanted.algorithm, request_);
  const std::string why = refusal_of(choice.schedule, request_.detail);
  if (!why.empty()) return refused(why, request_);
  return choice;
}

}  // namespace railwright::coordinator
