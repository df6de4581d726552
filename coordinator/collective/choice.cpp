#include "coordinator/collective/choice.hpp"

#include <fmt/format.h>

#include "collectives/nccl_schedule.hpp"
#include "collectives/synthesis.hpp"
#include "collectives/ways.hpp"
#include "topology/calibration_overlay.hpp"

namespace railwright::coordinator {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;
using emulator::Detail;
namespace nccl = collectives::nccl;

constexpr std::int64_t most_sends = 20'000'000;             // by steps: some 4 GB
constexpr std::int64_t most_steps_at_once = 300'000;        // sends of one step, by steps: minutes
constexpr std::int64_t most_synthesized_sends = 5'000'000;  // an estimate from above
constexpr int most_ranks_to_try = 32;                       // a synthesis takes a second to five
constexpr std::int64_t most_connections = 20'000'000;       // by phases: a GB, some seconds

using Made = tl::expected<Schedule, std::string>;  // or why not

bool may_synthesize(const CollectiveRequest& request) {
  return request.ranks() <= collectives::most_synthesized_ranks &&
         request.operation != Operation::all_to_all && request.operation != Operation::send;
}

Made synthesized_schedule(const CollectiveRequest& request, Bytes size) {
  return collectives::synthesize({request.operation, size, request.members, request.root},
                                 request.cluster, topology::at_size(request.calibration, size))
      .map([](const collectives::Synthesis& made) { return made.schedule; });
}

Schedule rooted(Schedule schedule, const CollectiveRequest& request) {
  if (request.has_root()) schedule.root = request.root;
  return schedule;
}

// That pricing by phases looks at, unless they are told in patterns. Where a rank hands blocks on
// for everybody there are as many as pairs, whatever the channels.
std::int64_t connections_of(const Schedule& schedule) {
  const bool pairs =
      schedule.algorithm == Algorithm::pairwise ||
      (schedule.algorithm == Algorithm::bruck && schedule.operation == Operation::all_to_all);
  return std::int64_t{schedule.ranks} *
         (pairs ? schedule.ranks : collectives::channel_count(schedule));
}

// Empty when the schedule can run on these members, and this machine can hold it.
std::string refusal_of(const Schedule& schedule, const CollectiveRequest& request) {
  std::string why = collectives::why_not(schedule, request.members, request.cluster);
  if (!why.empty()) return why;
  const std::int64_t sends = emulator::send_estimate(schedule);
  const std::int64_t at_once = std::int64_t{schedule.ranks} * collectives::channel_count(schedule);
  const std::string name = to_string(schedule.algorithm);
  const bool by_steps = request.detail == Detail::steps;
  if (by_steps && (sends > most_sends || at_once > most_steps_at_once))
    return fmt::format("{}: {} sends, {} of them at once, are too many to emulate one by one", name,
                       sends, at_once);
  if (const std::int64_t connections = connections_of(schedule);
      connections > most_connections && !collectives::repeats_patterns(schedule))
    return fmt::format("{}: {} connections are too many", name, connections);
  return {};
}

Made named_schedule(Algorithm algorithm, const CollectiveRequest& request, Bytes size) {
  if (algorithm == Algorithm::synthesized) return synthesized_schedule(request, size);
  const Schedule schedule =
      rooted(collectives::schedule_for(request.operation, algorithm, request.members,
                                       request.cluster, size),
             request);
  if (std::string why = refusal_of(schedule, request); !why.empty())
    return tl::unexpected(std::move(why));
  return schedule;
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

}  // namespace

std::vector<Algorithm> applicable_algorithms(const CollectiveRequest& request) {
  std::vector<Algorithm> found;
  for (int i = 0; i < collectives::algorithm_count; ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    const Bytes smallest = request.sizes.front().sent;
    const bool applies = algorithm == Algorithm::synthesized
                             ? may_synthesize(request) && smallest.count > 0
                             : named_schedule(algorithm, request, smallest).has_value();
    if (applies) found.push_back(algorithm);
  }
  return found;
}

Detail detail_of(const Schedule& schedule, const CollectiveRequest& request) {
  const bool soon = schedule.algorithm == Algorithm::synthesized &&
                    emulator::send_estimate(schedule) <= most_synthesized_sends;
  return soon ? Detail::steps : request.detail;  // its phases are one for all steps
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

Choice Chooser::fastest_made(Bytes size, const std::string& why) const {
  return {rooted(collectives::best_schedule(request_.operation, size, request_.members, router_,
                                            topology::at_size(request_.calibration, size)),
                 request_),
          "best", why};
}

Choice Chooser::fastest(Bytes size) const {
  Choice choice = fastest_made(size, "the fastest we know");
  if (!may_synthesize(request_) || request_.ranks() > most_ranks_to_try || size.count == 0)
    return choice;
  const topology::Calibration calibration = topology::at_size(request_.calibration, size);
  const auto time_of = [&](const Schedule& schedule) {
    const emulator::CollectiveRun run{schedule,
                                      size,
                                      request_.members,
                                      detail_of(schedule, request_),
                                      {},
                                      request_.faults,
                                      request_.type.bytes};
    return emulator::emulate_collective(run, router_, calibration).time;
  };
  const Made made = synthesized_schedule(request_, size);
  if (made && time_of(*made) < time_of(choice.schedule)) choice.schedule = *made;
  return choice;
}

Choice Chooser::as_nccl(Bytes size) const {
  if (!placement_)
    return fastest_made(size,
                        "no data say what NCCL does with these ranks: the fastest in closed form");
  const auto takes = nccl_takes(size);
  if (!takes)
    return fastest_made(size, fmt::format("NCCL has no model of {}: the fastest in closed form",
                                          to_string(request_.operation)));
  const std::string pick = fmt::format(
      "NCCL {} takes {}/{} on {}", request_.nccl_constants->version, to_string(takes->algorithm),
      to_string(takes->protocol), placement_->platform->name);
  const Schedule schedule =
      rooted(collectives::nccl_schedule(*takes, *placement_, request_.operation, size,
                                        request_.members, request_.cluster),
             request_);
  if (refusal_of(schedule, request_).empty()) return {schedule, "nccl", pick};
  return fastest_made(size, pick + ", which cannot be emulated here: the fastest in closed form");
}

Result<Choice> Chooser::choice(const Wanted& wanted, Bytes size) const {
  if (wanted.rule == Rule::named) {
    Made schedule = named_schedule(wanted.algorithm, request_, size);
    if (!schedule) return refused(schedule.error(), request_);
    return Choice{std::move(*schedule), {}, {}};
  }
  const Choice choice = wanted.rule == Rule::nccl ? as_nccl(size) : fastest(size);
  const std::string why = refusal_of(choice.schedule, request_);
  if (!why.empty()) return refused(why, request_);
  return choice;
}

}  // namespace railwright::coordinator
