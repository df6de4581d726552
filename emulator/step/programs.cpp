#include "emulator/step/programs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace railwright::emulator {

using workload::Dimension;
using workload::Op;
using workload::OpKind;

namespace {

constexpr std::int64_t most_ops = 25'000'000;  // some 150 bytes each: 4 GB

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

}  // namespace

Errors programs_refused(std::int64_t ops) {
  if (ops <= most_ops) return {};
  return {{{},
           fmt::format("the stages run {} different ops; this version emulates up to {}", ops,
                       most_ops),
           "use a smaller global batch"}};
}

bool Programs::anyone_meets(Dimension dimension) const {
  return std::ranges::any_of(meeting_kinds,
                             [&](const MeetingKind& kind) { return kind.group == dimension; });
}

Result<Programs> Programs::make(const Plan& plan, std::vector<workload::Program> programs) {
  assert(programs.size() == static_cast<std::size_t>(plan.degrees.pp));
  Programs tables;
  std::int64_t ops = 0;
  for (workload::Program& program : programs) {
    StageLayout stage;
    stage.program = std::move(program);
    ops += stage.ops();
    link_successors(stage);
    number_ops(stage, tables.meeting_kinds);
    tables.stages.push_back(std::move(stage));
  }
  Errors errors = programs_refused(ops);
  if (errors.empty()) errors = check_pipeline_meetings(tables.stages);
  if (errors.empty()) errors = match_messages(tables.stages);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));

  for (int d = 0; d < dimension_count; ++d) {
    const auto dimension = static_cast<Dimension>(d);
    GroupTable& table = tables.groups[d];
    // Nobody meets there: one group of all ranks, which tells nobody apart.
    if (dimension != Dimension::pp && !tables.anyone_meets(dimension)) {
      table = {1, plan.degrees.world(), 1};
      continue;
    }
    table.stride = stride_of(dimension, plan.degrees, plan.placement.order);
    table.degree = degree_of(plan.degrees, dimension);
    table.count = plan.degrees.world() / table.degree;
  }
  const GroupTable& pipelines = tables.groups_of(Dimension::pp);
  tables.stage_of.reserve(static_cast<std::size_t>(plan.degrees.world()));
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank)
    tables.stage_of.push_back(static_cast<int>(rank / pipelines.stride % pipelines.degree));
  return tables;
}

}  // namespace railwright::emulator
