#include "emulator/step/folding/typed_graph.hpp"

#include <algorithm>
#include <deque>
#include <tuple>

#include "collectives/ways.hpp"

namespace railwright::emulator {
namespace {

using collectives::BundleLoads;
using collectives::PhaseLoad;
using collectives::Schedule;
using topology::AcceleratorId;
using topology::BundleId;
using topology::LinkId;
using workload::Dimension;

constexpr std::size_t most_patterns = 8;

int index_of(Dimension dimension) { return static_cast<int>(dimension); }

// Collectives of one schedule load the links alike whatever their size: the first size stands for
// all. Groups of one have nothing to exchange.
// The two halves of an all-reduce on rings go the same ways, one of them in each of the others.
Schedule by_its_ways(Schedule schedule) {
  const bool rings = schedule.algorithm == collectives::Algorithm::ring ||
                     schedule.algorithm == collectives::Algorithm::hierarchical;
  const bool halves = schedule.operation == workload::Operation::all_reduce ||
                      schedule.operation == workload::Operation::reduce_scatter;
  const bool overlaps = schedule.segments > 1;  // which an all-gather does not do
  // With a power of two, halving and doubling meets the partners of recursive doubling, in one
  // order or the other, and all ranks send equally much.
  if (schedule.algorithm == collectives::Algorithm::halving_doubling &&
      std::has_single_bit(static_cast<unsigned>(schedule.ranks))) {
    schedule.algorithm = collectives::Algorithm::recursive_doubling;
    schedule.operation = workload::Operation::all_reduce;
  }
  if (rings && halves && !overlaps) schedule.operation = workload::Operation::all_gather;
  return schedule;
}

class GraphMaker {
 public:
  GraphMaker(const Programs& programs, const Plan& plan, const LiveRoutes& routes,
             const topology::Calibration& calibration, const StepFaults& faults,
             const Periods* periods)
      : programs_(programs),
        periods_(periods),
        table_(periods != nullptr ? periods->seats() : programs),
        plan_(plan),
        routes_(routes),
        router_(routes.router(0)),
        faults_(faults),
        software_(collectives::software_latency(calibration, routes.cluster())),
        some_link_dies_(routes.epochs() > 1) {
    for (int epoch = 0; epoch < routes.epochs(); ++epoch)
      loads_.emplace_back(routes.router(epoch), calibration,
                          periods != nullptr ? periods->stands_for() : std::vector<int>{});
  }

  std::optional<TypedGraph> make() {
    if (periods_ == nullptr)
      for (std::int64_t rank = 0; rank < programs_.ranks(); ++rank)
        accelerators_.push_back(accelerator_of(rank, plan_.placement, plan_.degrees));
    colour_ranks();
    for (int d = 0; d < dimension_count; ++d)
      if (!add_groups(static_cast<Dimension>(d))) return std::nullopt;
    made_.first_sending = made_.meetings.size();
    if (!add_sends()) return std::nullopt;
    made_.first_use.push_back(made_.uses.size());
    find_elements(made_, router_, faults_);
    return std::move(made_);
  }

 private:
  // ---- ranks that are looked at

  std::int64_t rank_at(std::int64_t seat) const {
    return periods_ != nullptr ? periods_->rank_at(seat) : seat;
  }
  std::int64_t seat_of(std::int64_t rank) const {
    return periods_ != nullptr ? periods_->seat_of(rank) : rank;
  }
  AcceleratorId accelerator_under(std::int64_t rank) const {
    if (periods_ != nullptr) return periods_->accelerator_under(rank);
    return accelerators_[static_cast<std::size_t>(rank)];
  }

  void colour_ranks() {
    std::vector<std::int64_t> ranks;
    for (std::int64_t seat = 0; seat < table_.ranks(); ++seat) ranks.push_back(rank_at(seat));
    const std::vector<RankTraits> traits =
        traits_of(ranks, plan_, router_.cluster(), faults_).ranks;
    for (std::int64_t seat = 0; seat < table_.ranks(); ++seat)
      made_.ranks.push_back(joined(joined(Colour(table_.stage_of[seat]), Colour(traits[seat].kind)),
                                   Colour(traits[seat].course)));
  }

  using Schedules = std::vector<std::pair<Schedule, Bytes>>;  // with the size of its first use

  bool add_groups(Dimension dimension) {
    const GroupTable& groups = table_.groups_of(dimension);
    made_.first_group[index_of(dimension)] = made_.meetings.size();
    Schedules schedules;
    for (const MeetingKind& kind : programs_.meeting_kinds) {
      if (kind.group != dimension || programs_.groups_of(dimension).degree == 1) continue;
      Schedule schedule = schedule_of(plan_, dimension, kind.operation, kind.size);
      if (!is_alike(schedule, kind)) return false;
      schedule = by_its_ways(std::move(schedule));
      const bool known = std::ranges::any_of(
          schedules, [&](const auto& other) { return other.first == schedule; });
      if (!known) schedules.push_back({schedule, kind.size});
    }
    alike_.clear();
    const std::size_t before = made_.uses.size();
    for (std::int64_t group = 0; group < groups.count; ++group) {
      if (group == 1) expect_uses(groups.count, made_.uses.size() - before);
      add_meeting(index_of(dimension));
      if (schedules.empty()) continue;
      const auto members = members_of_group(dimension, rank_at(groups.first(group)));
      assert(group > 0 || members == members_of(plan_, dimension, groups.first(group)));
      if (made_.uses.size() > most_uses) return false;
      if (repeat_alike(members, schedules)) continue;
      for (const auto& [schedule, size] : schedules)
        if (!add_uses(schedule, size, members)) return false;
      remember(members);
    }
    return made_.uses.size() <= most_uses;
  }

  // Of periods; asked of a first group, in the schedule itself.
  bool is_alike(const Schedule& schedule, const MeetingKind& kind) {
    return periods_ == nullptr ||
           loads_[0].find(schedule, kind.size, members_of_group(kind.group, rank_at(0)));
  }

  // Of the whole group that the rank is in.
  std::vector<AcceleratorId> members_of_group(Dimension dimension, std::int64_t rank) const {
    const GroupTable& groups = programs_.groups_of(dimension);
    const std::int64_t first = groups.first(groups.group_of(rank));
    std::vector<AcceleratorId> members;
    members.reserve(static_cast<std::size_t>(groups.degree));
    for (std::int64_t i = 0; i < groups.degree; ++i)
      members.push_back(accelerator_under(first + i * groups.stride));
    return members;
  }

  // ---- groups that lie alike

  // A group and what it does, for others to repeat.
  struct Done {
    std::size_t meeting;
    std::vector<AcceleratorId> members;
  };

  // Of the first member in its node and in its period; with the number of members.
  using Place = std::tuple<bool, int, std::size_t>;
  std::vector<Place> places_of(const std::vector<AcceleratorId>& members) const {
    const topology::Cluster& cluster = router_.cluster();
    const int index = members.front().index, period = router_.period();
    const int node = cluster.first_of_node(cluster.node_of(members.front())).index;
    std::vector<Place> places = {{false, index - node, members.size()}};
    if (period > 0) places.push_back({true, index % period, members.size()});
    return places;
  }

  void remember(const std::vector<AcceleratorId>& members) {
    for (const Place& place : places_of(members)) {
      std::deque<Done>& known = alike_[place];
      known.push_back({made_.meetings.size() - 1, members});
      if (known.size() > most_patterns) known.pop_front();
    }
  }

  // As a group that lies alike, moved to where this one is. Where other routes follow, each group
  // is looked at.
  bool repeat_alike(const std::vector<AcceleratorId>& members, const Schedules& schedules) {
    if (some_link_dies_) return false;
    for (const Place& place : places_of(members))
      if (repeat_alike_at(place, members, schedules)) return true;
    return false;
  }

  bool repeat_alike_at(const Place& place, const std::vector<AcceleratorId>& members,
                       const Schedules& schedules) {
    const auto known = alike_.find(place);
    if (known == alike_.end()) return false;
    for (const Done& other : known->second) {
      const auto move = router_.move_between(other.members, members);
      const auto goes = [&](const auto& each) {
        return collectives::goes_with_moves(each.first, members, router_.cluster());
      };
      if (!move || !std::ranges::all_of(schedules, goes)) continue;
      repeat(other.meeting, *move);
      return true;
    }
    return false;
  }

  void repeat(std::size_t meeting, const topology::Move& move) {
    made_.meetings.back() = made_.meetings[meeting];
    const std::size_t end = made_.first_use[meeting + 1];
    for (std::size_t u = made_.first_use[meeting]; u < end; ++u) {
      const TypedGraph::Use use = made_.uses[u];
      made_.uses.push_back({router_.moved(BundleId{use.end}, move).index, use.weight});
    }
  }

  // Where others are like the first one: the memory that they need, once.
  void expect_uses(std::int64_t meetings, std::size_t uses_each) {
    const std::size_t more = static_cast<std::size_t>(meetings) * uses_each;
    made_.uses.reserve(std::min(most_uses, made_.uses.size() + more));
    made_.meetings.reserve(made_.meetings.size() + static_cast<std::size_t>(meetings));
    made_.first_use.reserve(made_.meetings.capacity() + 1);
  }

  void add_meeting(int kind) {
    made_.meetings.push_back(mixed(Colour(kind)));
    made_.first_use.push_back(made_.uses.size());
  }

  // False: periods differ in it.
  bool add_uses(const Schedule& schedule, Bytes size, const std::vector<AcceleratorId>& members) {
    if (!loads_[0].find(schedule, size, members)) return false;
    add_loads(loads_[0], mixed(loads_[0].phases().size()));
    if (routes_.epochs() == 1) return true;
    const Footprint healthy = footprint_of(loads_[0]);
    for (int epoch = 1; epoch < routes_.epochs(); ++epoch) {
      auto gap = routes_.gap_between(epoch, schedule, members);
      if (!gap) loads_[epoch].find(schedule, size, members);
      if (!gap) gap = routes_.dead_link_of(epoch, loads_[epoch]);
      if (!gap && footprint_of(loads_[epoch]) == healthy) continue;
      mark_epoch(epoch, gap.has_value());
      if (!gap) add_loads(loads_[epoch], mixed(Colour(epoch)));
    }
    return true;
  }

  // The meeting does something else in this epoch than on the healthy cluster.
  void mark_epoch(int epoch, bool gap) {
    Colour& meeting = made_.meetings.back();
    meeting = joined(meeting, joined(Colour(epoch), Colour(gap)));
  }

  // Bundles stand for elements until these are known.
  void add_loads(const BundleLoads& loads, Colour phase) {
    std::vector<Colour> phases;
    for (const PhaseLoad& load : loads.phases()) {
      for (const double part : {load.step_latency.value, load.bytes_per_step, double(load.steps)})
        phase = joined(phase, colour_of(part));
      phases.push_back(phase);
    }
    made_.meetings.back() = joined(made_.meetings.back(), phase);
    weight_of_kind_.assign(static_cast<std::size_t>(loads.kinds()), -1);
    for (const BundleLoads::Use& use : loads.uses()) {
      int& weight = weight_of_kind_[static_cast<std::size_t>(use.kind)];
      if (weight < 0) weight = weight_number(weight_of(phases, loads.loads_of(use.kind)));
      made_.uses.push_back({use.bundle.index, weight});
    }
  }

  static Colour weight_of(const std::vector<Colour>& phases, const std::vector<double>& loads) {
    Colour weight = 0;
    for (std::size_t i = 0; i < phases.size(); ++i)
      if (loads[i] > 0) weight = joined(weight, joined(phases[i], colour_of(loads[i])));
    return weight;
  }

  int weight_number(Colour weight) {
    const int number = weight_numbers_.number_of(weight);
    if (number == static_cast<int>(made_.weights.size())) made_.weights.push_back(weight);
    return number;
  }

  bool add_sends() {
    std::vector<std::map<int, Bytes>> targets;  // of a stage: stages, and the size of one message
    for (const StageLayout& stage : programs_.stages) {
      targets.emplace_back();
      for (const workload::Op& op : stage.program.ops)
        if (op.kind == workload::OpKind::send) targets.back().emplace(op.peer_stage, op.bytes);
    }
    std::int64_t sends = 0;
    for (const int stage : table_.stage_of) sends += std::ssize(targets[stage]);
    made_.sendings.reserve(static_cast<std::size_t>(sends));
    const std::size_t before = made_.uses.size();
    for (std::int64_t seat = 0; seat < table_.ranks(); ++seat) {
      if (made_.sendings.size() == 1) expect_uses(sends, made_.uses.size() - before);
      const std::int64_t rank = rank_at(seat);
      for (const auto& [stage, size] : targets[table_.stage_of[seat]]) {
        const std::int64_t target = programs_.peer_of(rank, stage);
        if (periods_ != nullptr && !periods_->lie_alike(rank, target)) return false;
        add_send(rank, target, size);
      }
      if (made_.uses.size() > most_uses) return false;
    }
    return true;
  }

  // A send is one phase of one step on one route.
  void add_send(std::int64_t rank, std::int64_t target, Bytes size) {
    made_.sendings.push_back({seat_of(rank), seat_of(target)});
    add_meeting(dimension_count);
    const AcceleratorId from = accelerator_under(rank), to = accelerator_under(target);
    made_.meetings.back() = joined(made_.meetings.back(), Colour(size.count));
    router_.trace(from, to, 0, way_);
    add_way(way_, mixed(Colour(dimension_count)));
    topology::Trace other;
    for (int epoch = 1; epoch < routes_.epochs(); ++epoch) {
      routes_.router(epoch).trace(from, to, 0, other);
      if (other.parts == way_.parts) continue;
      mark_epoch(epoch, other.parts.empty());
      add_way(other, mixed(Colour(dimension_count + epoch)));
    }
  }

  void add_way(const topology::Trace& way, Colour kind) {
    Colour& colour = made_.meetings.back();
    colour = joined(colour, colour_of((way.latency + software_).value));
    for (const topology::BundleShare& part : way.parts) {
      const BundleId bundle =
          periods_ != nullptr ? collectives::standing(part.bundle, router_, periods_->stands_for())
                              : part.bundle;
      made_.uses.push_back({bundle.index, weight_number(joined(kind, colour_of(part.share)))});
    }
  }

  const Programs& programs_;
  const Periods* periods_;  // null: all ranks are looked at
  const RankTable& table_;  // of those that are
  const Plan& plan_;
  const LiveRoutes& routes_;
  const topology::Router& router_;  // of the healthy cluster
  const StepFaults& faults_;
  std::deque<BundleLoads> loads_;  // per epoch
  Seconds software_;
  bool some_link_dies_;
  topology::Trace way_;
  ColourNumbers weight_numbers_;
  std::vector<int> weight_of_kind_;
  std::map<Place, std::deque<Done>> alike_;  // of each way to lie, the first group; the latest few
  std::vector<AcceleratorId> accelerators_;  // per rank, where all are looked at
  TypedGraph made_;
};

}  // namespace

std::optional<TypedGraph> typed_graph_of(const Programs& programs, const Plan& plan,
                                         const LiveRoutes& routes,
                                         const topology::Calibration& calibration,
                                         const StepFaults& faults, const Periods* periods) {
  return GraphMaker(programs, plan, routes, calibration, faults, periods).make();
}

}  // namespace railwright::emulator
