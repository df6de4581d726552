// Who runs which op, and who meets whom. Private to the emulator.
//
// An actor stands for all ranks of one class of the folding: ranks that nothing tells apart.
// Without folding every rank is its own actor. Actors count in the order of their lowest ranks.
// Everything that equal ranks share is kept once per stage; per actor there is a base.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "emulator/step/folding.hpp"

namespace railwright::emulator {

class Layout {
 public:
  // Both must outlive it. Fails when there are more op instances than fit.
  static Result<Layout> make(const Programs& programs, const Folding& folding,
                             std::int64_t most_instances);

  int actors() const { return folding_->ranks.count(); }
  std::int64_t ranks() const { return programs_->ranks(); }
  std::int64_t rank_of(int actor) const { return folding_->ranks.first[actor]; }  // the lowest
  int actor_of(std::int64_t rank) const { return folding_->ranks.of[rank]; }
  std::int64_t instances() const { return instances_; }
  std::int64_t exchanges() const { return exchanges_; }
  int stages() const { return static_cast<int>(programs_->stages.size()); }
  int stage_of(int actor) const { return stage_of_[actor]; }
  const StageLayout& stage(int index) const { return programs_->stages[index]; }
  const StageLayout& of_actor(int actor) const { return stage(stage_of(actor)); }
  const workload::Op& op(int actor, int op) const { return of_actor(actor).program.ops[op]; }
  const std::vector<MeetingKind>& meeting_kinds() const { return programs_->meeting_kinds; }
  const Folding& folding() const { return *folding_; }

  // A class of groups of one dimension.
  const Folding::Classes& groups(workload::Dimension dimension) const {
    return folding_->groups[static_cast<std::size_t>(dimension)];
  }
  int group_of(int actor, workload::Dimension dimension) const {
    return group_of_[static_cast<std::size_t>(actor) * dimension_count +
                     static_cast<std::size_t>(dimension)];
  }
  // The lowest rank of the class's first group.
  std::int64_t first_rank_of(workload::Dimension dimension, int group) const;
  // The actors that meet there, ascending.
  std::span<const int> members(workload::Dimension dimension, int group) const;

  // The op of an actor, numbered through: lower stage first, then lower op, then lower actor, so
  // that what actors of a stage do side by side lies side by side.
  std::int64_t instance(int actor, int op) const {
    return first_instance_[actor] + std::int64_t{op} * actors_of_stage(stage_of(actor));
  }
  int actors_of_stage(int stage) const { return actors_of_stage_[stage]; }
  // A collective of one class of groups or one send, numbered through.
  std::int64_t exchange(int actor, int op) const;
  // Of those the first collective of a class of groups, the first send of an actor.
  std::int64_t first_exchange(workload::Dimension dimension, int group) const {
    return meetings_[static_cast<std::size_t>(dimension)].first_exchange[group];
  }
  std::int64_t first_send(int actor) const { return first_send_[actor]; }
  // How many exchanges of the cluster it stands for.
  std::int64_t copies(int actor, int op) const;
  // The same collective as its member `actor` sees it.
  int op_at_member(const workload::Op& op, int ordinal, int actor) const;
  // Actor that a send goes to or a receive comes from.
  int peer_of(int actor, int op) const { return actor_of(peer_rank(rank_of(actor), op)); }
  std::int64_t peer_rank(std::int64_t rank, int op) const {
    return programs_->peer_of(rank, programs_->of_rank(rank).program.ops[op].peer_stage);
  }

 private:
  struct Meetings {
    std::vector<int> first_member;  // per class of groups, plus the end: into `member`
    std::vector<int> member;
    std::vector<std::int64_t> first_exchange;  // per class of groups
  };

  Layout() = default;
  void place_actors();
  void number_instances();
  void list_members(int dimension);
  void number_exchanges();

  const Programs* programs_ = nullptr;
  const Folding* folding_ = nullptr;
  std::vector<std::int64_t> first_instance_;  // per actor: of its first op
  std::vector<int> actors_of_stage_;
  std::int64_t instances_ = 0;
  std::vector<int> stage_of_, group_of_;  // per actor; per actor and dimension
  std::array<Meetings, dimension_count> meetings_;
  std::vector<std::int64_t> first_send_;  // per actor
  std::int64_t exchanges_ = 0;
};

}  // namespace railwright::emulator
