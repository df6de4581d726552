#include "emulator/step/standstill.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace railwright::emulator {

using workload::Dimension;
using workload::Op;
using workload::OpKind;

namespace {

constexpr std::size_t most_hung = 64, most_ranks = 16;

class HungGroups {
 public:
  HungGroups(const Execution& execution, const Layout& layout, const Plan& plan)
      : record_(execution.record),
        costs_(*execution.costs),
        last_epoch_(execution.routes->epochs() - 1),
        cluster_(execution.routes->cluster()),
        layout_(layout),
        plan_(plan) {}

  Standstill find() {
    Standstill found;
    for (const OpOfActor& dead : record_.dead) add_dead(dead, found);
    for (const OpOfActor& cut_off : record_.cut_off) add_cut_off(cut_off, found);
    for (int actor = 0; actor < layout_.actors(); ++actor)
      for (int op = 0; op < layout_.of_actor(actor).ops(); ++op) add_waiting(actor, op, found);
    return found;
  }

 private:
  std::string name_of(std::int64_t rank) const {
    const auto where = accelerator_of(rank, plan_.placement, plan_.degrees);
    return cluster_.graph.name_of(cluster_.vertex_of(where));
  }

  std::vector<std::int64_t> ranks_of(int actor, int op) const {
    const Op& what = layout_.op(actor, op);
    const std::int64_t rank = layout_.rank_of(actor);
    if (what.kind == OpKind::collective)
      return group_of(what.group, rank, plan_.degrees, plan_.placement.order);
    if (what.kind == OpKind::compute) return {rank};
    const std::int64_t peer = layout_.peer_rank(rank, op);
    return what.kind == OpKind::send ? std::vector{rank, peer} : std::vector{peer, rank};
  }

  std::string words_of(int actor, int op) const {
    const Op& what = layout_.op(actor, op);
    if (what.kind == OpKind::compute) return layout_.of_actor(actor).program.bodies[what.body].name;
    const auto operation =
        what.kind == OpKind::collective ? what.operation : workload::Operation::send;
    return fmt::format("{} of {}", to_string(operation), to_string(what.bytes));
  }

  void add(int actor, int op, std::int64_t groups, std::string why, Standstill& found) const {
    found.hung_groups += groups;
    if (found.hung.size() == most_hung) return;
    const Op& what = layout_.op(actor, op);
    HungGroup hung;
    if (what.kind == OpKind::collective) hung.group = to_string(what.group);
    if (what.kind == OpKind::send || what.kind == OpKind::receive) hung.group = "pp";
    hung.op = words_of(actor, op);
    hung.micro_batch = what.micro_batch;
    hung.ranks = ranks_of(actor, op);
    hung.members = std::ssize(hung.ranks);
    if (hung.ranks.size() > most_ranks) hung.ranks.resize(most_ranks);
    for (const std::int64_t rank : hung.ranks) hung.accelerators.push_back(name_of(rank));
    hung.groups = groups;
    hung.why = std::move(why);
    found.hung.push_back(std::move(hung));
  }

  void add_dead(const OpOfActor& dead, Standstill& found) const {
    const std::int64_t rank = layout_.rank_of(dead.actor);
    add(dead.actor, dead.op, layout_.folding().ranks.size[dead.actor],
        fmt::format("rank {} ({}) stands still", rank, name_of(rank)), found);
  }

  void add_cut_off(const OpOfActor& cut_off, Standstill& found) {
    const Gap gap = costs_.exchange(cut_off.actor, cut_off.op, last_epoch_).gap.value_or(Gap{});
    const topology::Graph& graph = cluster_.graph;
    const std::string why =
        gap.link.index >= 0
            ? fmt::format("its schedule needs {}, which is dead", graph.name_of(gap.link))
            : fmt::format("nothing leads from {} to {}",
                          graph.name_of(cluster_.vertex_of(gap.source)),
                          graph.name_of(cluster_.vertex_of(gap.target)));
    add(cut_off.actor, cut_off.op, layout_.copies(cut_off.actor, cut_off.op), why, found);
  }

  // A collective to which some have come, or a message that somebody waits for.
  void add_waiting(int actor, int op, Standstill& found) const {
    const std::int64_t instance = layout_.instance(actor, op);
    const bool waits = record_.ready[instance] != not_yet && record_.end[instance] == not_yet;
    const Op& what = layout_.op(actor, op);
    if (!waits) return;
    if (what.kind == OpKind::receive) {
      const std::int64_t peer = layout_.peer_rank(layout_.rank_of(actor), op);
      add(actor, op, layout_.folding().ranks.size[actor],
          fmt::format("waits for rank {} ({})", peer, name_of(peer)), found);
    }
    if (what.kind == OpKind::collective) add_incomplete(actor, op, found);
  }

  void add_incomplete(int actor, int op, Standstill& found) const {
    const Op& what = layout_.op(actor, op);
    const auto members = layout_.members(what.group, layout_.group_of(actor, what.group));
    const Exchange& exchange = record_.exchanges[layout_.exchange(actor, op)];
    if (exchange.arrived == static_cast<int>(members.size())) return;
    const int ordinal = layout_.of_actor(actor).ordinal[op];
    const auto has_come = [&](int member) {
      const int member_op = layout_.op_at_member(what, ordinal, member);
      return record_.ready[layout_.instance(member, member_op)] != not_yet;
    };
    if (*std::ranges::find_if(members, has_come) != actor) return;  // one speaks for all
    const auto missing = std::ranges::find_if_not(members, has_come);
    std::int64_t rank = layout_.rank_of(*missing);
    for (const std::int64_t member : ranks_of(actor, op))
      if (layout_.actor_of(member) == *missing) {
        rank = member;
        break;
      }
    add(actor, op, layout_.copies(actor, op),
        fmt::format("waits for rank {} ({})", rank, name_of(rank)), found);
  }

  const StepRecord& record_;
  StepCosts& costs_;
  int last_epoch_;
  const topology::Cluster& cluster_;
  const Layout& layout_;
  const Plan& plan_;
};

}  // namespace

Standstill standstill_of(const Execution& execution, const Layout& layout, const Plan& plan,
                         const StepFaults& faults) {
  Standstill standstill = HungGroups(execution, layout, plan).find();
  standstill.at = *execution.record.standstill;
  for (const Loss& loss : faults.losses)
    if (is_active(loss, standstill.at)) standstill.lost.push_back(loss);
  return standstill;
}

}  // namespace railwright::emulator
