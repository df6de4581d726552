#include <fmt/format.h>

#include <algorithm>

#include "collectives/bound.hpp"
#include "collectives/synthesis.hpp"
#include "worker/bench/bench.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Schedule;

// Without a cluster file nothing is known about the links: a shared-memory hop is assumed.
constexpr collectives::Hop assumed_hop = {microseconds(2), gigabytes_per_second(5)};

std::string obstacle(const Schedule& schedule) {
  const std::string why = collectives::why_not(schedule);
  return why.empty() ? why_p2p_cannot(schedule) : why;
}

// All ranks as one dimension, nodes where they count, segments for the assumed hop.
Schedule assumed_schedule(collectives::Operation operation, Algorithm algorithm, int ranks,
                          int ranks_per_node, Bytes size) {
  const int inner = algorithm == Algorithm::hierarchical ? ranks_per_node : 1;
  Schedule schedule{operation, algorithm, ranks, 1, inner, 0};
  if (obstacle(schedule).empty())
    schedule.segments = collectives::optimal_segments(schedule, size, assumed_hop);
  return schedule;
}

}  // namespace

Bandwidth BenchRow::bus_bandwidth() const {
  return collectives::bus_bandwidth_factor(schedule.operation, schedule.ranks) *
         algorithm_bandwidth();
}

Result<BenchChoice> BenchChoice::make(const World& world, const BenchOptions& options) {
  BenchChoice choice;
  choice.options_ = options;
  choice.ranks_ = world.size;
  const std::vector<int> machine_of = machines(world, options.ranks_per_node);
  const int nodes = 1 + *std::max_element(machine_of.begin(), machine_of.end());
  choice.ranks_per_node_ = world.size % nodes == 0 ? world.size / nodes : 1;
  if (options.root < 0 || options.root >= world.size)
    return failure({}, fmt::format("-r {}: there is no such rank", options.root),
                   fmt::format("write 0 to {}", world.size - 1));
  if (!options.cluster.empty()) {
    Result<topology::Cluster> cluster = topology::load_cluster(options.cluster);
    if (!cluster) return tl::unexpected(cluster.error());
    if (cluster->accelerators() < world.size)
      return failure({options.cluster, 0, 0},
                     fmt::format("the cluster has {} accelerators, mpirun started {} ranks",
                                 cluster->accelerators(), world.size),
                     fmt::format("use mpirun -n {}", cluster->accelerators()));
    choice.cluster_ = std::make_shared<const topology::Cluster>(std::move(*cluster));
    choice.router_ = std::make_shared<const topology::Router>(*choice.cluster_);
    for (int rank = 0; rank < world.size; ++rank) choice.members_.push_back({rank});
    if (world.size > 1)
      choice.bound_ =
          collectives::bound_of(options.operation, choice.members_, *choice.cluster_, options.root);
  }
  const Schedule first = choice.schedule(options.begin);
  const bool ours = options.backend == "p2p" || options.backend == "hierarchical";
  const std::string why = ours ? obstacle(first) : collectives::why_not(first);
  if (!why.empty()) return failure({}, why, "choose another --algorithm, or auto");
  return choice;
}

Schedule BenchChoice::schedule_by(Algorithm algorithm, Bytes size) const {
  const collectives::Operation operation = options_.operation;
  if (cluster_ && algorithm == Algorithm::synthesized)
    if (auto made = collectives::synthesize({operation, size, members_}, *cluster_,
                                            topology::default_calibration()))
      return std::move(made->schedule);
  if (cluster_) return collectives::schedule_for(operation, algorithm, members_, *cluster_, size);
  return assumed_schedule(operation, algorithm, ranks_, ranks_per_node_, size);
}

Schedule BenchChoice::rooted(Schedule schedule) const {
  using collectives::Operation;
  const bool has_root =
      schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce;
  if (has_root) schedule.root = options_.root;
  return schedule;
}

Schedule BenchChoice::schedule(Bytes size) const {
  const collectives::Operation operation = options_.operation;
  if (options_.backend == "mpi" || options_.backend == "shm")
    return rooted({operation, Algorithm::direct, ranks_});
  if (options_.backend ==
      "nccl")  // which algorithm is a hint, that it can be executed no condition
    return rooted({operation, options_.algorithm.value_or(Algorithm::direct), ranks_});
  if (options_.algorithm) return rooted(schedule_by(*options_.algorithm, size));
  if (cluster_) {
    const Schedule best = collectives::best_schedule(operation, size, members_, *router_,
                                                     topology::default_calibration());
    if (obstacle(best).empty() && rooted(best) == best) return best;
  }
  std::optional<Schedule> best;
  for (int i = 0; i < collectives::algorithm_count; ++i) {
    const Schedule schedule = rooted(schedule_by(static_cast<Algorithm>(i), size));
    if (!obstacle(schedule).empty()) continue;
    if (!best || collectives::closed_form_time(schedule, size, assumed_hop) <
                     collectives::closed_form_time(*best, size, assumed_hop))
      best = schedule;
  }
  return *best;  // direct does every operation
}

std::optional<Seconds> BenchChoice::expected(const Schedule& schedule, Bytes size) const {
  if (!cluster_ || schedule.ranks < 2) return std::nullopt;
  const auto& calibration = topology::default_calibration();
  const auto loads = collectives::phase_loads(schedule, size, members_, *router_, calibration);
  return collectives::idle_time(loads, cluster_->graph, calibration);
}

std::optional<Seconds> BenchChoice::bound(Bytes size) const {
  if (!bound_) return std::nullopt;
  return collectives::bound_time(*bound_, options_.operation, ranks_, size);
}

Result<std::vector<Bytes>> bench_sizes(const BenchOptions& options) {
  Errors errors;
  const std::uint64_t width = size_of(options.type);
  if (options.factor < 2) errors.push_back({{}, "-f must be 2 or more", "write -f 2"});
  if (options.begin > options.end)
    errors.push_back({{}, "-b is larger than -e", "write, for example, -b 8 -e 256M"});
  if (options.begin.count < width)
    errors.push_back({{},
                      fmt::format("-b is smaller than one {}", to_string(options.type)),
                      fmt::format("write -b {}", width)});
  if (options.iterations < 1) errors.push_back({{}, "-n must be 1 or more", "write -n 20"});
  if (options.step && options.step->count < width)
    errors.push_back({{}, "-i is smaller than one element", fmt::format("write -i {}", width)});
  if (options.ranks_per_node < 0)
    errors.push_back({{}, "--ranks-per-node must not be negative", "write the number, or 0"});
  if (options.warmup < 0) errors.push_back({{}, "-w must not be negative", "write -w 5"});
  if (!errors.empty()) return tl::unexpected(errors);
  std::vector<Bytes> sizes;
  for (std::uint64_t size = options.begin.count; size <= options.end.count;) {
    sizes.push_back({size / width * width});
    // The next would overflow or be too big.
    if (options.step ? options.step->count > options.end.count - size
                     : size > options.end.count / options.factor)
      break;
    size = options.step ? size + options.step->count : size * options.factor;
  }
  return sizes;
}

}  // namespace railwright::worker
