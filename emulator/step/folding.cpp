#include "emulator/step/folding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <map>
#include <span>
#include <unordered_map>

#include "collectives/collectives.hpp"

namespace railwright::emulator {
namespace {

using collectives::PhaseLoad;
using collectives::Schedule;
using topology::LinkId;
using workload::Dimension;
using Colour = std::uint64_t;

constexpr std::size_t most_uses = 400'000'000;  // 16 bytes each, twice

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the finalizer. Two
// different elements share a colour with a chance of some 2^-64 per pair.
Colour mixed(Colour value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
Colour joined(Colour one, Colour other) { return mixed(one ^ mixed(other)); }

// Sums of equal terms in another order differ in the last bits: those are left out.
Colour colour_of(double value) { return std::bit_cast<Colour>(value * (1 + 0x1p-50)) >> 12; }

int index_of(Dimension dimension) { return static_cast<int>(dimension); }

// Something that several ranks do together on the links.
struct Meeting {
  Colour colour = 0;
  std::size_t first_use = 0;  // into uses_; they end where those of the next begin
};
struct Use {
  int end;  // of the meeting in a link's list, of the link in a meeting's list
  Colour weight;
};

class Refinement {
 public:
  Refinement(const Programs& programs, const Plan& plan, const topology::Router& router,
             const topology::Calibration& calibration, const StepFaults& faults)
      : programs_(programs), plan_(plan), router_(router), calibration_(calibration) {
    colour_ranks(faults);
    colour_links(faults);
  }

  // False: too many uses.
  bool add_meetings();
  void run();
  Folding take() const;

 private:
  void colour_ranks(const StepFaults& faults);
  void colour_links(const StepFaults& faults);
  bool add_groups(Dimension dimension);
  bool add_sends();
  void add_uses(const Schedule& schedule, Bytes size,
                const std::vector<topology::AcceleratorId>& members);
  void list_uses_by_link();
  std::int64_t classes() const;
  void refine();
  Colour seen_by_rank(std::int64_t rank) const;
  Colour members_of_group(int dimension, std::int64_t group) const;
  Folding::Classes classes_of(std::span<const Colour> colours) const;

  const Programs& programs_;
  const Plan& plan_;
  const topology::Router& router_;
  const topology::Calibration& calibration_;
  std::vector<Colour> ranks_, links_;
  std::vector<Meeting> meetings_;  // groups by dimension, then sends; one more ends the last one
  std::vector<Use> uses_;
  std::array<std::size_t, dimension_count> first_group_{};
  // Sends of one rank to one stage; `source` ascends.
  struct Sending {
    std::int64_t source, target;
  };
  std::vector<Sending> sendings_;
  std::size_t first_sending_ = 0;
  std::vector<std::size_t> first_user_;  // per link
  std::vector<Use> users_;
};

void Refinement::colour_ranks(const StepFaults& faults) {
  const auto traits = traits_of(plan_, router_.cluster(), faults);
  for (std::int64_t rank = 0; rank < programs_.ranks(); ++rank)
    ranks_.push_back(joined(joined(Colour(programs_.stage_of[rank]), Colour(traits[rank].kind)),
                            colour_of(traits[rank].slowdown)));
}

void Refinement::colour_links(const StepFaults& faults) {
  const topology::Graph& graph = router_.cluster().graph;
  for (int link = 0; link < graph.links(); ++link)
    links_.push_back(
        joined(graph.link_class[link], colour_of(graph.capacity({link}).bytes_per_second)));
  for (const LinkDegradation& fault : faults.links) {
    Colour& link = links_[fault.link.index];
    const auto until = fault.until.value_or(Instant{-1});
    for (const Colour part : {Colour(fault.from.picoseconds), Colour(until.picoseconds),
                              std::bit_cast<Colour>(fault.factor)})
      link = joined(link, part);
  }
}

bool Refinement::add_meetings() {
  for (int d = 0; d < dimension_count; ++d)
    if (!add_groups(static_cast<Dimension>(d))) return false;
  first_sending_ = meetings_.size();
  if (!add_sends()) return false;
  meetings_.push_back({0, uses_.size()});
  list_uses_by_link();
  return true;
}

// Collectives of one schedule load the links alike whatever their size: the first size stands for
// all. Groups of one have nothing to exchange.
// The two halves of an all-reduce on rings go the same ways, one of them in each of the others.
Schedule by_its_ways(Schedule schedule) {
  const bool rings = schedule.algorithm == collectives::Algorithm::ring ||
                     schedule.algorithm == collectives::Algorithm::hierarchical;
  const bool halves = schedule.operation == workload::Operation::all_reduce ||
                      schedule.operation == workload::Operation::reduce_scatter;
  const bool overlaps = schedule.segments > 1;  // which an all-gather does not do
  if (rings && halves && !overlaps) schedule.operation = workload::Operation::all_gather;
  return schedule;
}

bool Refinement::add_groups(Dimension dimension) {
  const GroupTable& groups = programs_.groups_of(dimension);
  first_group_[index_of(dimension)] = meetings_.size();
  std::vector<std::pair<Schedule, Bytes>> schedules;
  for (const MeetingKind& kind : programs_.meeting_kinds) {
    if (kind.group != dimension || groups.degree == 1) continue;
    const Schedule schedule = by_its_ways(schedule_of(plan_, dimension, kind.operation, kind.size));
    const bool known =
        std::ranges::any_of(schedules, [&](const auto& other) { return other.first == schedule; });
    if (!known) schedules.push_back({schedule, kind.size});
  }
  for (std::int64_t group = 0; group < groups.count; ++group) {
    meetings_.push_back({mixed(Colour(index_of(dimension))), uses_.size()});
    if (schedules.empty()) continue;
    const auto members = members_of(plan_, dimension, groups.first(group));
    for (const auto& [schedule, size] : schedules) add_uses(schedule, size, members);
    if (uses_.size() > most_uses) return false;
  }
  return true;
}

bool Refinement::add_sends() {
  Schedule schedule;
  schedule.operation = workload::Operation::send;
  schedule.algorithm = collectives::Algorithm::direct;
  schedule.ranks = 2;
  std::vector<std::map<int, Bytes>> targets;  // of a stage: stages, and the size of one message
  for (const StageLayout& stage : programs_.stages) {
    targets.emplace_back();
    for (const workload::Op& op : stage.program.ops)
      if (op.kind == workload::OpKind::send) targets.back().emplace(op.peer_stage, op.bytes);
  }
  for (std::int64_t rank = 0; rank < programs_.ranks(); ++rank) {
    for (const auto& [stage, size] : targets[programs_.stage_of[rank]]) {
      const std::int64_t target = programs_.peer_of(rank, stage);
      sendings_.push_back({rank, target});
      meetings_.push_back({mixed(Colour(dimension_count)), uses_.size()});
      add_uses(schedule, size,
               {accelerator_of(rank, plan_.placement, plan_.degrees),
                accelerator_of(target, plan_.placement, plan_.degrees)});
    }
    if (uses_.size() > most_uses) return false;
  }
  return true;
}

void Refinement::add_uses(const Schedule& schedule, Bytes size,
                          const std::vector<topology::AcceleratorId>& members) {
  const auto loads = phase_loads(schedule, size, members, router_, calibration_);
  Colour phase = mixed(loads.size());
  for (const PhaseLoad& load : loads) {
    for (const double part : {load.step_latency.value, load.bytes_per_step, double(load.steps)})
      phase = joined(phase, colour_of(part));
    meetings_.back().colour = joined(meetings_.back().colour, phase);
    for (const topology::LinkShare& use : load.consumption)
      uses_.push_back({use.link.index, joined(phase, colour_of(use.share))});
  }
}

void Refinement::list_uses_by_link() {
  first_user_.assign(links_.size() + 1, 0);
  for (const Use& use : uses_) ++first_user_[use.end + 1];
  for (std::size_t link = 0; link < links_.size(); ++link)
    first_user_[link + 1] += first_user_[link];
  users_.resize(uses_.size());
  std::vector<std::size_t> next(first_user_.begin(), first_user_.end() - 1);
  for (std::size_t m = 0; m + 1 < meetings_.size(); ++m)
    for (std::size_t u = meetings_[m].first_use; u < meetings_[m + 1].first_use; ++u)
      users_[next[uses_[u].end]++] = {static_cast<int>(m), uses_[u].weight};
}

Colour Refinement::seen_by_rank(std::int64_t rank) const {
  Colour colour = ranks_[rank];
  for (int d = 0; d < dimension_count; ++d) {
    const auto group = static_cast<std::size_t>(programs_.groups[d].group_of(rank));
    colour = joined(colour, meetings_[first_group_[d] + group].colour);
  }
  return colour;
}

Colour Refinement::members_of_group(int dimension, std::int64_t group) const {
  const GroupTable& groups = programs_.groups[dimension];
  Colour sum = 0;
  for (std::int64_t i = 0; i < groups.degree; ++i)
    sum += mixed(ranks_[groups.first(group) + i * groups.stride]);
  return sum;
}

// A round replaces every colour by itself and what its element sees, so classes only split.
void Refinement::refine() {
  std::vector<Colour> ranks(ranks_.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) ranks[r] = seen_by_rank(std::int64_t(r));
  for (std::size_t s = 0; s < sendings_.size(); ++s) {
    const Colour colour = meetings_[first_sending_ + s].colour;
    ranks[sendings_[s].source] += mixed(colour ^ 1);
    ranks[sendings_[s].target] += mixed(colour ^ 2);
  }
  std::vector<Colour> links = links_;
  for (std::size_t link = 0; link < links.size(); ++link) {
    Colour sum = 0;
    for (std::size_t u = first_user_[link]; u < first_user_[link + 1]; ++u)
      sum += joined(meetings_[users_[u].end].colour, users_[u].weight);
    links[link] = joined(links[link], sum);
  }
  for (std::size_t m = 0; m + 1 < meetings_.size(); ++m) {
    Colour sum = 0;
    for (std::size_t u = meetings_[m].first_use; u < meetings_[m + 1].first_use; ++u)
      sum += joined(links_[uses_[u].end], uses_[u].weight);
    meetings_[m].colour = joined(meetings_[m].colour, sum);
  }
  for (int d = 0; d < dimension_count; ++d)
    for (std::int64_t group = 0; group < programs_.groups[d].count; ++group) {
      Colour& colour = meetings_[first_group_[d] + std::size_t(group)].colour;
      colour = joined(colour, members_of_group(d, group));
    }
  for (std::size_t s = 0; s < sendings_.size(); ++s) {
    Colour& colour = meetings_[first_sending_ + s].colour;
    colour = joined(colour, joined(ranks_[sendings_[s].source], ranks_[sendings_[s].target]));
  }
  ranks_ = std::move(ranks);
  links_ = std::move(links);
}

std::int64_t Refinement::classes() const {
  std::int64_t count = 0;
  const auto add = [&](std::vector<Colour> colours) {
    std::ranges::sort(colours);
    count += std::unique(colours.begin(), colours.end()) - colours.begin();
  };
  add(ranks_);
  std::vector<Colour> links, meetings;
  for (std::size_t link = 0; link < links_.size(); ++link)
    if (first_user_[link] < first_user_[link + 1]) links.push_back(links_[link]);
  for (const Meeting& meeting : meetings_) meetings.push_back(meeting.colour);
  add(std::move(links));
  add(std::move(meetings));
  return count;
}

// To stability or not at all: a partition that is not equitable is silently wrong.
void Refinement::run() {
  for (std::int64_t before = 0, now = classes(); now != before;) {
    before = now;
    refine();
    now = classes();
  }
}

Folding::Classes Refinement::classes_of(std::span<const Colour> colours) const {
  Folding::Classes classes;
  std::unordered_map<Colour, int> known;  // looked up, never walked through
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const auto [place, first] = known.try_emplace(colours[i], classes.count());
    if (first) {
      classes.first.push_back(std::int64_t(i));
      classes.size.push_back(0);
    }
    ++classes.size[place->second];
    classes.of.push_back(place->second);
  }
  return classes;
}

Folding Refinement::take() const {
  Folding folding;
  folding.ranks = classes_of(ranks_);
  for (int d = 0; d < dimension_count; ++d) {
    std::vector<Colour> colours;
    for (std::int64_t group = 0; group < programs_.groups[d].count; ++group)
      colours.push_back(meetings_[first_group_[d] + std::size_t(group)].colour);
    folding.groups[d] = classes_of(colours);
  }
  // An unused link keeps to itself: nobody asks for its class.
  std::vector<Colour> links = links_;
  for (std::size_t link = 0; link < links.size(); ++link)
    if (first_user_[link] == first_user_[link + 1]) links[link] = mixed(link);
  const Folding::Classes classes = classes_of(links);
  for (const int of : classes.of) {
    folding.link_first.push_back(static_cast<int>(classes.first[of]));
    folding.link_count.push_back(static_cast<int>(classes.size[of]));
  }
  return folding;
}

Folding::Classes each_alone(std::int64_t count) {
  Folding::Classes classes;
  for (std::int64_t i = 0; i < count; ++i) {
    classes.of.push_back(static_cast<int>(i));
    classes.first.push_back(i);
    classes.size.push_back(1);
  }
  return classes;
}

}  // namespace

std::vector<RankTraits> traits_of(const Plan& plan, const topology::Cluster& cluster,
                                  const StepFaults& faults) {
  std::map<topology::AcceleratorId, double> slowdown;
  for (const Slowdown& slow : faults.accelerators)
    slowdown.emplace(slow.accelerator, 1.0).first->second /= slow.factor;
  std::vector<RankTraits> traits;
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    const auto where = accelerator_of(rank, plan.placement, plan.degrees);
    const auto slow = slowdown.find(where);
    traits.push_back({cluster.spec.nodes[cluster.group_of(where)].accelerator_kind,
                      slow == slowdown.end() ? 1.0 : slow->second});
  }
  return traits;
}

Folding unfolded(const Programs& programs) {
  Folding folding;
  folding.ranks = each_alone(programs.ranks());
  for (int d = 0; d < dimension_count; ++d)
    folding.groups[d] = each_alone(programs.groups[d].count);
  return folding;
}

Result<Folding> folded(const Programs& programs, const Plan& plan, const topology::Router& router,
                       const topology::Calibration& calibration, const StepFaults& faults) {
  Refinement refinement(programs, plan, router, calibration, faults);
  if (!refinement.add_meetings())
    return failure({},
                   fmt::format("the routes of {} ranks load more than {} links in all",
                               programs.ranks(), most_uses),
                   "use fewer accelerators, or a routing of one path (d_mod_k) in the cluster");
  refinement.run();
  return refinement.take();
}

}  // namespace railwright::emulator
