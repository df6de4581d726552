#include "coordinator/collective/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "coordinator/console.hpp"
#include "topology/calibration_overlay.hpp"

namespace railwright::coordinator {
namespace {

using collectives::Operation;
using collectives::Schedule;

constexpr std::size_t most_pairs_asked = 4096;

// Even if everything crossed the slowest link twice, as slow as the faults make it.
bool may_outlast_event_time(const CollectiveRequest& request, Bytes size) {
  const std::vector<topology::LinkClass>& classes = request.cluster.graph.classes;
  Bandwidth slowest = classes.front().capacity;
  for (const topology::LinkClass& link : classes) slowest = std::min(slowest, link.capacity);
  std::map<topology::LinkId, double> left;  // degradations of one link multiply
  for (const auto& fault : request.faults.links)
    left.emplace(fault.link, 1.0).first->second *= fault.factor;
  double factor = 1;
  for (const auto& [link, share] : left) factor = std::min(factor, share);
  const Seconds limit = 0.5 * in_seconds(Picoseconds{INT64_MAX});
  return 2.0 * request.ranks() * (size / (factor * slowest)) > limit;
}

// A cluster that is read joins all its accelerators; what its routing makes of that is asked of
// neighbours in the group, and in large groups left to the algorithms.
Errors unjoined_members(const CollectiveRequest& request, const topology::Router& router) {
  const auto& members = request.members;
  if (members.size() > most_pairs_asked) return {};
  const auto name = [&](topology::AcceleratorId a) {
    return request.cluster.graph.name_of(request.cluster.vertex_of(a));
  };
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto next = members[(i + 1) % members.size()];
    if (router.between(members[i], next).empty())
      return {{{},
               fmt::format("--group: no route from '{}' to '{}'", name(members[i]), name(next)),
               "choose members that links join"}};
  }
  return {};
}

bool switches_take_part(const Row& row) { return collectives::switch_count(row.schedule()) > 0; }

class Runner {
 public:
  explicit Runner(const CollectiveRequest& request)
      : request_(request), router_(request.cluster), chooser_(request, router_) {}

  Result<Sweep> run() {
    if (Errors errors = unjoined_members(request_, router_); !errors.empty())
      return tl::unexpected(std::move(errors));
    if (const Bytes largest = request_.sizes.back().sent; may_outlast_event_time(request_, largest))
      return failure(
          {}, fmt::format("{} could take longer than event time, 106 days", to_string(largest)),
          "write a smaller --bytes or --end");
    for (const MessageSize& size : request_.sizes)
      for (const Wanted& wanted : request_.wanted) {
        auto row = row_of(wanted, size);
        if (!row) return tl::unexpected(std::move(row.error()));
        sweep_.rows.push_back(std::move(*row));
        tell(0);
      }
    if (request_.bounded) find_bounds();
    return std::move(sweep_);
  }

 private:
  void find_bounds() {
    collectives::GroupLimits limits(request_.members, request_.cluster);
    sweep_.bound = limits.bound(request_.operation, request_.root);
    if (std::ranges::any_of(sweep_.rows, switches_take_part))
      sweep_.bound_in_network = limits.bound_in_network(request_.operation, request_.root);
    sweep_.attainable = limits.attainable(request_.operation, request_.root);
  }

  void tell(double fraction_of_row) {
    const auto all = static_cast<double>(request_.sizes.size() * request_.wanted.size());
    progress_((static_cast<double>(sweep_.rows.size()) + fraction_of_row) / all);
  }

  Result<Row> row_of(const Wanted& wanted, const MessageSize& size) {
    auto choice = chooser_.choice(wanted, size.sent);
    if (!choice) return tl::unexpected(std::move(choice.error()));
    Row row{wanted, std::move(*choice), size, {}, {}, chooser_.nccl_takes(size.sent)};
    const emulator::CollectiveRun run{row.schedule(),
                                      size.sent,
                                      request_.members,
                                      detail_of(row.schedule(), request_),
                                      {},
                                      request_.faults,
                                      request_.type.bytes,
                                      [&](double part) { tell(part); }};
    const topology::Calibration calibration = topology::at_size(request_.calibration, size.sent);
    row.result = emulator::emulate_collective(run, router_, calibration);
    row.expected = expected(row, run, calibration);
    return row;
  }

  // Without faults. In phases the emulation has priced just that, and a synthesized schedule has no
  // phases worth pricing: it is emulated.
  Seconds expected(const Row& row, emulator::CollectiveRun run,
                   const topology::Calibration& calibration) const {
    const bool synthesized = row.schedule().algorithm == collectives::Algorithm::synthesized;
    const bool priced = !row.result.stepwise || synthesized;
    if (priced && request_.faults.links.empty()) return row.time();
    if (row.result.idle) return *row.result.idle;
    run.faults = {};
    if (synthesized)
      return in_seconds(emulator::emulate_collective(run, router_, calibration).time);
    const std::uint64_t element = request_.type.bytes;
    auto loads = collectives::folded_phase_loads(row.schedule(), {row.size.sent.count / element},
                                                 request_.members, router_, calibration)
                     .phases;
    for (auto& load : loads) load.bytes_per_step *= static_cast<double>(element);
    return collectives::idle_time(loads, request_.cluster.graph, calibration);
  }

  const CollectiveRequest& request_;
  topology::Router router_;
  Chooser chooser_;
  Sweep sweep_;
  std::function<void(double)> progress_ = progress_bar("emulating");
};

}  // namespace

Bandwidth Row::algbw() const { return time().value > 0 ? size.sent / time() : Bandwidth{}; }

Bandwidth Row::busbw() const {
  return collectives::bus_bandwidth_factor(schedule().operation, schedule().ranks) * algbw();
}

const std::optional<collectives::Bound>& Sweep::bound_of(const Row& row) const {
  return switches_take_part(row) ? bound_in_network : bound;
}

std::optional<Seconds> Sweep::bound_time(const Row& row) const {
  if (!bound_of(row)) return {};
  return collectives::bound_time(*bound_of(row), row.schedule().operation, row.schedule().ranks,
                                 row.size.sent);
}

std::optional<Seconds> Sweep::attainable_time(const Row& row) const {
  if (!attainable) return {};
  Seconds least = row.size.sent / attainable->algorithm_bandwidth;
  for (const Row& other : rows)  // what was just emulated is attained
    if (other.size.sent == row.size.sent && !switches_take_part(other))
      least = std::min(least, other.time());
  return least;
}

Bandwidth bus_bandwidth(const CollectiveRequest& request, Bytes size, Seconds time) {
  const double factor = collectives::bus_bandwidth_factor(request.operation, request.ranks());
  return time.value > 0 ? factor * (size / time) : Bandwidth{};
}

std::uint64_t count_of(const CollectiveRequest& request, Bytes size) {
  const std::uint64_t count = size.count / request.type.bytes;
  return collectives::in_parts(request.operation)
             ? count / static_cast<std::uint64_t>(request.ranks())
             : count;
}

Result<Sweep> run_sweep(const CollectiveRequest& request) { return Runner(request).run(); }

}  // namespace railwright::coordinator
