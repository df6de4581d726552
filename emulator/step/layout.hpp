// Who runs which op, and who meets whom: the programs of all ranks as tables. Private to the
// emulator. Everything that equal ranks share is kept once per stage; per rank there is a base.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/plan.hpp"

namespace railwright::emulator {

inline constexpr int dimension_count = 5;

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

// Why a step of this size is refused; empty when it fits. `ops`: of all stages' programs,
// `instances`: of all ranks.
Errors size_refused(std::int64_t ranks, std::int64_t ops, std::int64_t instances);

class Layout {
 public:
  // One program per stage. Fails when there are more op instances than fit, or programs that do not
  // match each other.
  static Result<Layout> make(const Plan& plan, std::vector<workload::Program> programs);

  std::int64_t ranks() const { return static_cast<std::int64_t>(stage_of_.size()); }
  std::int64_t instances() const { return first_instance_.back(); }
  std::int64_t exchanges() const { return exchanges_; }
  int stages() const { return static_cast<int>(stages_.size()); }
  int stage_of(std::int64_t rank) const { return stage_of_[rank]; }
  const StageLayout& stage(int index) const { return stages_[index]; }
  const StageLayout& of_rank(std::int64_t rank) const { return stages_[stage_of_[rank]]; }
  const workload::Op& op(std::int64_t rank, int op) const { return of_rank(rank).program.ops[op]; }
  const std::vector<MeetingKind>& meeting_kinds() const { return meeting_kinds_; }
  const GroupTable& groups(workload::Dimension dimension) const {
    return groups_[static_cast<std::size_t>(dimension)];
  }

  // The op of a rank, numbered through: lower rank first, then lower op.
  std::int64_t instance(std::int64_t rank, int op) const { return first_instance_[rank] + op; }
  std::int64_t rank_of_instance(std::int64_t instance) const;
  // A collective of one group or one send, numbered through.
  std::int64_t exchange(std::int64_t rank, int op) const;
  // The same collective as its member `rank` sees it.
  int op_at_member(const workload::Op& op, int ordinal, std::int64_t rank) const;
  // Rank that a send goes to or a receive comes from.
  std::int64_t peer_of(std::int64_t rank, int op) const;

 private:
  Layout() = default;
  void number_instances();
  void number_exchanges();

  std::vector<StageLayout> stages_;
  std::vector<int> stage_of_;
  std::vector<std::int64_t> first_instance_;
  std::array<GroupTable, dimension_count> groups_;
  std::array<std::vector<std::int64_t>, dimension_count> first_meeting_;  // per group
  std::vector<std::int64_t> first_send_;                                  // per rank
  std::vector<MeetingKind> meeting_kinds_;
  std::int64_t exchanges_ = 0;
};

}  // namespace railwright::emulator
