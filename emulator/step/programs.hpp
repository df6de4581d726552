// The programs of all stages as tables: what equal ranks share. Private to the emulator.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/plan.hpp"

namespace railwright::emulator {

using workload::dimension_count;

// A size of a collective in one kind of group: what its cost is looked up by.
struct MeetingKind {
  workload::Dimension group = workload::Dimension::tp;
  workload::Operation operation = workload::Operation::all_reduce;
  Bytes size;
  bool operator==(const MeetingKind&) const = default;
};

struct StageLayout {
  workload::Program program;
  std::vector<int> stream_previous;  // per op: the op before it on its stream, -1 = none
  std::vector<int> waits_for;        // per op: number of predecessors
  std::vector<int> first_successor;  // per op, plus the end: into `successor`
  std::vector<int> successor;
  std::vector<int> meeting_kind;  // per op: collectives only, else -1
  std::vector<int> ordinal;       // per op: of the collectives of its group, or of the sends
  std::vector<int> peer_op;       // per op: the receive of a send and the reverse, else -1
  std::array<std::vector<int>, dimension_count> collectives;  // ops by ordinal
  int sends = 0;

  int ops() const { return static_cast<int>(program.ops.size()); }
};

// The groups of one dimension; group g holds first(g) + i x stride.
struct GroupTable {
  std::int64_t stride = 1, degree = 1, count = 1;

  std::int64_t group_of(std::int64_t rank) const {
    return rank / (stride * degree) * stride + rank % stride;
  }
  std::int64_t first(std::int64_t group) const {
    return group / stride * stride * degree + group % stride;
  }
};

// Why programs of so many ops in all are refused; empty when they fit.
Errors programs_refused(std::int64_t ops);

// Who runs which stage, and who is in a group with whom.
struct RankTable {
  std::array<GroupTable, dimension_count> groups;
  std::vector<int> stage_of;  // per rank

  std::int64_t ranks() const { return static_cast<std::int64_t>(stage_of.size()); }
  const GroupTable& groups_of(workload::Dimension dimension) const {
    return groups[static_cast<std::size_t>(dimension)];
  }
};

struct Programs : RankTable {
  std::vector<StageLayout> stages;
  std::vector<MeetingKind> meeting_kinds;

  // One program per stage. Fails when they do not match each other.
  static Result<Programs> make(const Plan& plan, std::vector<workload::Program> programs);

  bool anyone_meets(workload::Dimension dimension) const;
  const StageLayout& of_rank(std::int64_t rank) const { return stages[stage_of[rank]]; }
  // The rank of stage `peer_stage` in the pipeline of `rank`.
  std::int64_t peer_of(std::int64_t rank, int peer_stage) const {
    return rank + (peer_stage - stage_of[rank]) * groups_of(workload::Dimension::pp).stride;
  }
};

}  // namespace railwright::emulator
