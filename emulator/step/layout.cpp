#include "emulator/step/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace railwright::emulator {

using workload::Dimension;
using workload::Op;
using workload::OpKind;

namespace {

std::size_t index_of(Dimension dimension) { return static_cast<std::size_t>(dimension); }

}  // namespace

Result<Layout> Layout::make(const Programs& programs, const Folding& folding,
                            std::int64_t most_instances) {
  Layout layout;
  layout.programs_ = &programs;
  layout.folding_ = &folding;
  layout.place_actors();
  layout.number_instances();
  if (layout.instances() > most_instances)
    return failure({},
                   fmt::format("{} ranks, {} of them different, run {} op instances; up to {} are "
                               "emulated",
                               layout.ranks(), layout.actors(), layout.instances(), most_instances),
                   "use fewer data-parallel ranks or a smaller global batch");
  for (int d = 0; d < dimension_count; ++d) layout.list_members(d);
  layout.number_exchanges();
  return layout;
}

void Layout::place_actors() {
  for (int actor = 0; actor < actors(); ++actor) {
    const std::int64_t rank = rank_of(actor);
    stage_of_.push_back(programs_->stage_of[rank]);
    for (int d = 0; d < dimension_count; ++d)
      group_of_.push_back(folding_->groups[d].of[programs_->groups[d].group_of(rank)]);
  }
}

void Layout::number_instances() {
  actors_of_stage_.assign(static_cast<std::size_t>(stages()), 0);
  for (int actor = 0; actor < actors(); ++actor)
    first_instance_.push_back(actors_of_stage_[stage_of(actor)]++);
  std::vector<std::int64_t> first_of_stage;
  for (int s = 0; s < stages(); ++s) {
    first_of_stage.push_back(instances_);
    instances_ += std::int64_t{stage(s).ops()} * actors_of_stage_[s];
  }
  for (int actor = 0; actor < actors(); ++actor)
    first_instance_[actor] += first_of_stage[stage_of(actor)];
}

void Layout::list_members(int dimension) {
  const GroupTable& table = programs_->groups[dimension];
  Meetings& meetings = meetings_[dimension];
  std::vector<std::int64_t> listed(static_cast<std::size_t>(actors()), -1);  // latest in this group
  for (const std::int64_t group : folding_->groups[dimension].first) {
    const std::size_t first = meetings.member.size();
    meetings.first_member.push_back(static_cast<int>(first));
    for (std::int64_t i = 0; i < table.degree; ++i) {
      const int actor = actor_of(table.first(group) + i * table.stride);
      if (std::exchange(listed[actor], group) != group) meetings.member.push_back(actor);
    }
    std::sort(meetings.member.begin() + static_cast<std::ptrdiff_t>(first), meetings.member.end());
  }
  meetings.first_member.push_back(static_cast<int>(meetings.member.size()));
}

void Layout::number_exchanges() {
  for (int d = 0; d < dimension_count; ++d) {
    const auto dimension = static_cast<Dimension>(d);
    for (int group = 0; group < groups(dimension).count(); ++group) {
      meetings_[d].first_exchange.push_back(exchanges_);
      const StageLayout& stage = of_actor(members(dimension, group).front());
      exchanges_ += static_cast<std::int64_t>(stage.collectives[d].size());
    }
  }
  for (int actor = 0; actor < actors(); ++actor) {
    first_send_.push_back(exchanges_);
    exchanges_ += of_actor(actor).sends;
  }
}

std::int64_t Layout::first_rank_of(Dimension dimension, int group) const {
  return programs_->groups_of(dimension).first(groups(dimension).first[group]);
}

std::span<const int> Layout::members(Dimension dimension, int group) const {
  const Meetings& meetings = meetings_[index_of(dimension)];
  const int first = meetings.first_member[group], end = meetings.first_member[group + 1];
  return std::span(meetings.member).subspan(first, end - first);
}

std::int64_t Layout::exchange(int actor, int op) const {
  const StageLayout& stage = of_actor(actor);
  const Op& what = stage.program.ops[op];
  if (what.kind == OpKind::send) return first_send_[actor] + stage.ordinal[op];
  assert(what.kind == OpKind::collective);
  const int group = group_of(actor, what.group);
  return meetings_[index_of(what.group)].first_exchange[group] + stage.ordinal[op];
}

std::int64_t Layout::copies(int actor, int op) const {
  const Op& what = this->op(actor, op);
  if (what.kind == OpKind::send) return folding_->ranks.size[actor];
  return groups(what.group).size[group_of(actor, what.group)];
}

int Layout::op_at_member(const Op& op, int ordinal, int actor) const {
  return of_actor(actor).collectives[index_of(op.group)][ordinal];
}

}  // namespace railwright::emulator
