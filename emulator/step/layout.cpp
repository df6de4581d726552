#include "emulator/step/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace railwright::emulator {

using workload::Dimension;
using workload::Op;
using workload::OpKind;

namespace {

// About 20 bytes per op instance and 40 per collective, 150 per op of a program: some 4 GB each.
constexpr std::int64_t most_instances = 100'000'000, most_ops = 25'000'000;

std::size_t index_of(Dimension dimension) { return static_cast<std::size_t>(dimension); }

void link_successors(StageLayout& stage) {
  const auto& ops = stage.program.ops;
  std::vector<std::pair<int, int>> edges;
  std::array<int, workload::stream_count> last;
  last.fill(-1);
  for (int i = 0; i < stage.ops(); ++i) {
    int& previous = last[static_cast<std::size_t>(ops[i].stream)];
    stage.stream_previous.push_back(previous);
    stage.waits_for.push_back(static_cast<int>(ops[i].after.size()) + (previous >= 0 ? 1 : 0));
    if (previous >= 0) edges.push_back({previous, i});
    for (const int before : ops[i].after) {
      assert(before >= 0 && before < i && "an op depends on earlier ops only");
      edges.push_back({before, i});
    }
    previous = i;
  }
  std::sort(edges.begin(), edges.end());
  stage.first_successor.assign(ops.size() + 1, 0);
  for (const auto& edge : edges) ++stage.first_successor[edge.first + 1];
  for (std::size_t i = 0; i < ops.size(); ++i)
    stage.first_successor[i + 1] += stage.first_successor[i];
  for (const auto& edge : edges) stage.successor.push_back(edge.second);
}

int kind_index(std::vector<MeetingKind>& kinds, const Op& op) {
  const MeetingKind wanted{op.group, op.operation, op.bytes};
  const auto found = std::find(kinds.begin(), kinds.end(), wanted);
  const auto index = static_cast<int>(found - kinds.begin());
  if (found == kinds.end()) kinds.push_back(wanted);
  return index;
}

void number_ops(StageLayout& stage, std::vector<MeetingKind>& kinds) {
  const auto& ops = stage.program.ops;
  stage.meeting_kind.assign(ops.size(), -1);
  stage.ordinal.assign(ops.size(), -1);
  stage.peer_op.assign(ops.size(), -1);
  for (int i = 0; i < stage.ops(); ++i) {
    if (ops[i].kind == OpKind::collective) {
      auto& same_group = stage.collectives[index_of(ops[i].group)];
      stage.meeting_kind[i] = kind_index(kinds, ops[i]);
      stage.ordinal[i] = static_cast<int>(same_group.size());
      same_group.push_back(i);
    }
    if (ops[i].kind == OpKind::send) stage.ordinal[i] = stage.sends++;
  }
}

// Messages of one (source stage, target stage, micro-batch, direction) match in order.
using MessageKey = std::tuple<int, int, int, bool>;
struct Ends {
  std::vector<int> sends, receives;
};

Errors match_messages(std::vector<StageLayout>& stages) {
  std::map<MessageKey, Ends> messages;
  for (int s = 0; s < static_cast<int>(stages.size()); ++s)
    for (int i = 0; i < stages[s].ops(); ++i) {
      const Op& op = stages[s].program.ops[i];
      if (op.kind == OpKind::send)
        messages[{s, op.peer_stage, op.micro_batch, op.backward}].sends.push_back(i);
      if (op.kind == OpKind::receive)
        messages[{op.peer_stage, s, op.micro_batch, op.backward}].receives.push_back(i);
    }
  Errors errors;
  for (const auto& [key, ends] : messages) {
    const auto& [source, target, micro_batch, backward] = key;
    if (ends.sends.size() != ends.receives.size() || target >= static_cast<int>(stages.size())) {
      errors.push_back(
          {{},
           fmt::format("stage {} sends {} messages of micro-batch {} to stage {}, "
                       "which receives {}",
                       source, ends.sends.size(), micro_batch, target, ends.receives.size()),
           {}});
      continue;
    }
    for (std::size_t k = 0; k < ends.sends.size(); ++k) {
      stages[source].peer_op[ends.sends[k]] = ends.receives[k];
      stages[target].peer_op[ends.receives[k]] = ends.sends[k];
    }
  }
  return errors;
}

Errors check_pipeline_meetings(const std::vector<StageLayout>& stages) {
  const std::size_t wanted = stages.front().collectives[index_of(Dimension::pp)].size();
  for (const StageLayout& stage : stages)
    if (stage.collectives[index_of(Dimension::pp)].size() != wanted)
      return {{{}, "the stages do not all take part in the collectives of the pipeline group", {}}};
  return {};
}

Errors check_size(const Plan& plan, const std::vector<StageLayout>& stages) {
  std::int64_t ops = 0;
  for (const StageLayout& stage : stages) ops += stage.ops();
  return size_refused(plan.degrees.world(), ops, plan.degrees.world() / plan.degrees.pp * ops);
}

}  // namespace

Errors size_refused(std::int64_t ranks, std::int64_t ops, std::int64_t instances) {
  if (instances <= most_instances && ops <= most_ops) return {};
  return {{{},
           fmt::format("{} ranks run {} op instances, {} different ops; this version emulates up "
                       "to {} and {}",
                       ranks, instances, ops, most_instances, most_ops),
           "use fewer data-parallel ranks or a smaller global batch"}};
}

Result<Layout> Layout::make(const Plan& plan, std::vector<workload::Program> programs) {
  assert(programs.size() == static_cast<std::size_t>(plan.degrees.pp));
  Layout layout;
  for (workload::Program& program : programs) {
    StageLayout stage;
    stage.program = std::move(program);
    link_successors(stage);
    number_ops(stage, layout.meeting_kinds_);
    layout.stages_.push_back(std::move(stage));
  }
  Errors errors = check_size(plan, layout.stages_);
  if (errors.empty()) errors = check_pipeline_meetings(layout.stages_);
  if (errors.empty()) errors = match_messages(layout.stages_);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));

  for (int d = 0; d < dimension_count; ++d) {
    const auto dimension = static_cast<Dimension>(d);
    GroupTable& table = layout.groups_[d];
    table.stride = stride_of(dimension, plan.degrees, plan.placement.order);
    table.degree = degree_of(plan.degrees, dimension);
    table.count = plan.degrees.world() / table.degree;
  }
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank)
    layout.stage_of_.push_back(coordinates_of(rank, plan.degrees, plan.placement.order).pp);
  layout.number_instances();
  layout.number_exchanges();
  return layout;
}

void Layout::number_instances() {
  first_instance_.push_back(0);
  for (const int stage : stage_of_)
    first_instance_.push_back(first_instance_.back() + stages_[stage].ops());
}

void Layout::number_exchanges() {
  for (int d = 0; d < dimension_count; ++d)
    for (std::int64_t group = 0; group < groups_[d].count; ++group) {
      first_meeting_[d].push_back(exchanges_);
      const StageLayout& stage = of_rank(groups_[d].first(group));
      exchanges_ += static_cast<std::int64_t>(stage.collectives[d].size());
    }
  for (std::int64_t rank = 0; rank < ranks(); ++rank) {
    first_send_.push_back(exchanges_);
    exchanges_ += of_rank(rank).sends;
  }
}

std::int64_t Layout::rank_of_instance(std::int64_t instance) const {
  const auto after = std::upper_bound(first_instance_.begin(), first_instance_.end(), instance);
  return after - first_instance_.begin() - 1;
}

std::int64_t Layout::exchange(std::int64_t rank, int op) const {
  const StageLayout& stage = of_rank(rank);
  const Op& what = stage.program.ops[op];
  if (what.kind == OpKind::send) return first_send_[rank] + stage.ordinal[op];
  assert(what.kind == OpKind::collective);
  const std::size_t d = index_of(what.group);
  return first_meeting_[d][groups_[d].group_of(rank)] + stage.ordinal[op];
}

int Layout::op_at_member(const Op& op, int ordinal, std::int64_t rank) const {
  return of_rank(rank).collectives[index_of(op.group)][ordinal];
}

std::int64_t Layout::peer_of(std::int64_t rank, int op) const {
  const int distance = this->op(rank, op).peer_stage - stage_of(rank);
  return rank + distance * groups(Dimension::pp).stride;
}

}  // namespace railwright::emulator
