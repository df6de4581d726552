#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "collectives/bound.hpp"
#include "worker/mpi_transport.hpp"
#include "worker/run/run.hpp"

namespace railwright::worker {
namespace {

using collectives::Schedule;
using collectives::Send;
using topology::AcceleratorId;
using workload::Dimension;
using workload::Op;
using workload::OpKind;

DataType data_type(topology::Precision precision) {
  switch (precision) {
    case topology::Precision::fp32:
    case topology::Precision::tf32:
      return DataType::float32;
    case topology::Precision::fp16:
      return DataType::float16;
    default:
      return DataType::bfloat16;  // gradients of 8- and 4-bit training too
  }
}

class PartMaker {
 public:
  PartMaker(const emulator::Plan& plan, const World& world, const RunOptions& options)
      : world_(world), options_(options), rank_(world.rank) {
    part_.plan = plan;
  }
  Result<Part> make();

 private:
  Group group(Dimension dimension) const;
  int kind_of(const Op& op);
  Kind make_kind(const Op& op, Bytes size);
  Seconds bound(const Kind& kind, const std::vector<AcceleratorId>& members, int root);
  void add_link_bytes(std::vector<LinkBytes>& links, int source, int target, double bytes) const;
  void add_sends(Kind& kind, const Schedule& schedule) const;
  void add_pipeline_op(const Op& op, int peer);
  void add_prospects();
  int rank_at_stage(int stage) const;
  AcceleratorId accelerator(int rank) const {
    return emulator::accelerator_of(rank, part_.plan.placement, part_.plan.degrees);
  }
  Seconds compute_time(const Op& op) const;

  const World& world_;
  const RunOptions& options_;
  int rank_;
  Part part_;
  std::unique_ptr<topology::Router> router_;
  // Of groups that this rank is in: by dimension and operation, whatever the size.
  std::map<std::pair<Dimension, collectives::Operation>, std::optional<collectives::Bound>> bounds_;
  Errors errors_;
};

Group PartMaker::group(Dimension dimension) const {
  Group group;
  group.dimension = dimension;
  const auto members =
      workload::group_of(dimension, rank_, part_.plan.degrees, part_.plan.placement.order);
  for (const std::int64_t member : members) {
    if (member == rank_) group.index = static_cast<int>(group.ranks.size());
    group.ranks.push_back(static_cast<int>(member));
  }
  return group;
}

void PartMaker::add_link_bytes(std::vector<LinkBytes>& links, int source, int target,
                               double bytes) const {
  const topology::Route route = router_->between(accelerator(source), accelerator(target));
  for (const topology::LinkShare& share : route.links) {
    auto place = std::lower_bound(
        links.begin(), links.end(), share.link,
        [](const LinkBytes& entry, topology::LinkId link) { return entry.link < link; });
    if (place == links.end() || place->link != share.link)
      place = links.insert(place, {share.link, 0, 0, false});
    (source == rank_ ? place->sent : place->received) += share.share * bytes;
  }
}

void PartMaker::add_sends(Kind& kind, const Schedule& schedule) const {
  const auto phases = collectives::phases_of(schedule);
  const auto add = [&](const Send& send) {
    const Bytes size = collectives::bytes_of(schedule, send.chunks, kind.size, size_of(part_.type));
    add_link_bytes(kind.links, kind.group.ranks[send.source], kind.group.ranks[send.target],
                   static_cast<double>(size.count));
  };
  for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase)
    for (std::int64_t step = 0; step < phases[phase].steps; ++step) {
      for (const Send& send : collectives::sends_from(schedule, kind.group.index, phase, step))
        add(send);
      for (const Send& send : collectives::sends_to(schedule, kind.group.index, phase, step))
        add(send);
    }
}

// The links that set the pace of the longest phase.
std::set<topology::LinkId> limiting_links(const std::vector<collectives::PhaseLoad>& loads,
                                          const topology::Graph& graph) {
  constexpr double as_slow = 0.99;
  double worst = 0;
  std::map<topology::LinkId, double> time_of;
  for (const collectives::PhaseLoad& load : loads)
    for (const topology::LinkShare& share : load.consumption) {
      const double time = static_cast<double>(load.steps) * load.bytes_per_step * share.share /
                          graph.capacity(share.link).bytes_per_second;
      worst = std::max(worst, time);
      time_of[share.link] = std::max(time_of[share.link], time);
    }
  std::set<topology::LinkId> links;
  for (const auto& [link, time] : time_of)
    if (time > 0 && time >= as_slow * worst) links.insert(link);
  return links;
}

// Beyond some ranks a bound takes longer than the run should wait for it.
Seconds PartMaker::bound(const Kind& kind, const std::vector<AcceleratorId>& members, int root) {
  constexpr std::size_t most_members = 512;
  if (members.size() > most_members) return {};
  const auto [place, fresh] =
      bounds_.try_emplace(std::pair(kind.group.dimension, kind.operation), std::nullopt);
  if (fresh) place->second = collectives::bound_of(kind.operation, members, *part_.cluster, root);
  if (!place->second) return {};
  return collectives::bound_time(*place->second, kind.operation, static_cast<int>(members.size()),
                                 kind.size);
}

Kind PartMaker::make_kind(const Op& op, Bytes size) {
  const Schedule planned = emulator::schedule_of(part_.plan, op.group, op.operation, op.bytes);
  Kind kind{group(op.group), op.operation, size, planned, planned.algorithm, {}, {}, {}, false, {}};
  kind.in_memory = shares_memory(options_.backend) &&
                   live_together(machines(world_, options_.ranks_per_node), kind.group.ranks);
  kind.schedule = executed_schedule(options_.backend, planned);
  std::string why = collectives::why_not(planned);
  if (why.empty() && planned.ranks != static_cast<int>(kind.group.ranks.size()))
    why = fmt::format("its schedule is for {} ranks, the group has {}", planned.ranks,
                      kind.group.ranks.size());
  if (why.empty())
    why = why_engine_cannot(options_.backend, world_, options_.ranks_per_node, kind.group,
                            kind.schedule, size, part_.type);
  if (!why.empty()) {
    errors_.push_back({{},
                       fmt::format("{} of {} over {}: {}", to_string(op.operation),
                                   railwright::to_string(size), to_string(op.group), why),
                       is_opaque(options_.backend) ? "plan again" : "take --backend mpi"});
    return kind;
  }
  if (planned.ranks == 1) return kind;
  const auto& calibration = topology::default_calibration();
  const auto members = emulator::members_of(part_.plan, op.group, rank_);
  const auto loads = collectives::phase_loads(planned, size, members, *router_, calibration);
  kind.expected = collectives::idle_time(loads, part_.cluster->graph, calibration);
  kind.bound = bound(kind, members, planned.root);
  const auto limiting = limiting_links(loads, part_.cluster->graph);
  if (!limiting.empty())
    kind.limiting_class = part_.cluster->graph.class_of(*limiting.begin()).name;
  add_sends(kind, planned);
  for (LinkBytes& link : kind.links) link.limits = link.sent > 0 && limiting.contains(link.link);
  return kind;
}

int PartMaker::kind_of(const Op& op) {
  const std::uint64_t width = size_of(part_.type);
  const Bytes size = {std::max<std::uint64_t>(1, (op.bytes.count + width - 1) / width) * width};
  const auto found = std::find_if(part_.kinds.begin(), part_.kinds.end(), [&](const Kind& kind) {
    return kind.group.dimension == op.group && kind.operation == op.operation && kind.size == size;
  });
  if (found != part_.kinds.end()) return static_cast<int>(found - part_.kinds.begin());
  part_.kinds.push_back(make_kind(op, size));
  return static_cast<int>(part_.kinds.size()) - 1;
}

int PartMaker::rank_at_stage(int stage) const {
  const auto& [degrees, order] = std::pair(part_.plan.degrees, part_.plan.placement.order);
  workload::Coordinates place = workload::coordinates_of(rank_, degrees, order);
  place.pp = stage;
  return static_cast<int>(workload::rank_of(place, degrees, order));
}

Seconds PartMaker::compute_time(const Op& op) const {
  const auto& kind = part_.cluster->kind_of(accelerator(rank_));
  return workload::compute_time(part_.program.bodies[op.body].kernels, kind,
                                part_.plan.training.precision, topology::default_calibration())
      .total();
}

void PartMaker::add_pipeline_op(const Op& op, int peer) {
  const bool sends = op.kind == OpKind::send;
  add_link_bytes(part_.pipeline, sends ? rank_ : peer, sends ? peer : rank_,
                 static_cast<double>(op.bytes.count));
}

Result<Part> PartMaker::make() {
  Result<topology::Cluster> cluster = topology::build_cluster(part_.plan.cluster);
  if (!cluster) return tl::unexpected(cluster.error());
  part_.cluster = std::make_shared<const topology::Cluster>(std::move(*cluster));
  router_ = std::make_unique<topology::Router>(*part_.cluster);
  part_.type = data_type(part_.plan.training.precision);
  const int stage =
      workload::coordinates_of(rank_, part_.plan.degrees, part_.plan.placement.order).pp;
  part_.program = workload::stage_program(part_.plan.training, part_.plan.degrees, stage);
  std::map<int, Seconds> time_of_body;
  for (const Op& op : part_.program.ops) {
    const bool talks = op.kind == OpKind::send || op.kind == OpKind::receive;
    const int peer = talks ? rank_at_stage(op.peer_stage) : -1;
    part_.kind_of_op.push_back(op.kind == OpKind::collective ? kind_of(op) : -1);
    part_.peer_of_op.push_back(peer);
    if (talks) add_pipeline_op(op, peer);
    if (op.kind == OpKind::compute && !time_of_body.contains(op.body))
      time_of_body[op.body] = compute_time(op);
    part_.time_of_op.push_back(op.kind == OpKind::compute ? time_of_body[op.body] : Seconds{});
  }
  if (!errors_.empty()) return tl::unexpected(errors_);
  add_prospects();
  return std::move(part_);
}

// Dimensions that have schedules in the plan, which is the same on all ranks.
void PartMaker::add_prospects() {
  std::map<Dimension, int> channels;
  for (const emulator::ScheduleChoice& choice : part_.plan.schedules)
    channels[choice.group] = std::max(channels[choice.group], choice.schedule.channels);
  for (const auto& [dimension, most] : channels)
    if (workload::degree_of(part_.plan.degrees, dimension) > 1)
      part_.prospects.push_back({group(dimension), most});
}

std::string short_name(const std::string& host) { return host.substr(0, host.find('.')); }

bool same_host(const std::string& planned, const std::string& real) {
  const bool local = planned == "localhost" || planned == "127.0.0.1";
  return local || planned == real || short_name(planned) == short_name(real);
}

}  // namespace

std::string algorithm_name(const Kind& kind) {
  return kind.in_memory ? "shared_memory" : to_string(kind.algorithm);
}

Result<Part> make_part(const emulator::Plan& plan, const World& world, const RunOptions& options) {
  return PartMaker(plan, world, options).make();
}

Errors misplacement(const emulator::Plan& plan, const topology::Cluster& cluster,
                    const World& world, const std::string& plan_path) {
  const std::int64_t ranks = plan.degrees.world();
  const Place place = {plan_path, 0, 0};
  if (ranks != world.size)
    return {{place, fmt::format("the plan needs {} ranks, mpirun started {}", ranks, world.size),
             fmt::format("use mpirun -n {}", ranks)}};
  Errors errors;
  for (int rank = 0; rank < world.size; ++rank) {
    const AcceleratorId accelerator = emulator::accelerator_of(rank, plan.placement, plan.degrees);
    const std::string planned = cluster.host_of(accelerator);
    if (planned.empty() || same_host(planned, world.hosts[rank])) continue;
    errors.push_back({place,
                      fmt::format("rank {} runs on '{}', the plan puts it on '{}'", rank,
                                  world.hosts[rank], planned),
                      "start it with railwright run, which writes the rankfile"});
  }
  return errors;
}

}  // namespace railwright::worker
