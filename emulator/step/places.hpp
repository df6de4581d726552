// The layout as the engine's inner loop reads it: what is asked of an op and of an actor again and
// again lies together. Private to the emulator.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/step/layout.hpp"

namespace railwright::emulator {

class Places {
 public:
  explicit Places(const Layout& layout);

  workload::OpKind kind(int actor, int op) const { return at(actor, op).kind; }
  std::int64_t instance(int actor, int op) const {
    return actors_[actor].first_instance + std::int64_t{op} * actors_[actor].stride;
  }
  // Of a collective or a send.
  std::int64_t exchange(int actor, int op) const {
    const Op& what = at(actor, op);
    return actors_[actor].first_exchange[what.list] + what.ordinal;
  }
  // Actors that meet in a collective, ascending.
  std::span<const int> members(int actor, int op) const {
    const int list = at(actor, op).list;
    return layout_.members(static_cast<workload::Dimension>(list), actors_[actor].group[list]);
  }
  // The same collective as its member sees it.
  int op_at_member(int actor, int op, int member) const {
    const Op& what = at(actor, op);
    if (actors_[member].ops == actors_[actor].ops) return op;
    return layout_.of_actor(member).collectives[what.list][what.ordinal];
  }
  std::span<const int> successors(int actor, int op) const {
    const Op* what = &at(actor, op);
    return {actors_[actor].successors + what[0].first_successor,
            actors_[actor].successors + what[1].first_successor};
  }

 private:
  static constexpr int sends = dimension_count;  // the list of an actor's sends

  struct Op {
    workload::OpKind kind = workload::OpKind::compute;
    std::uint8_t list = 0;  // of exchanges: a dimension, or `sends`
    int ordinal = -1;       // in that list
    int first_successor = 0;
  };
  struct Actor {
    const Op* ops;
    const int* successors;
    std::int64_t first_instance;
    int stride;  // from one of its ops to the next
    std::array<std::int64_t, dimension_count + 1> first_exchange;
    std::array<int, dimension_count> group;
  };

  const Op& at(int actor, int op) const { return actors_[actor].ops[op]; }
  void add_stage(const StageLayout& stage);

  const Layout& layout_;
  std::vector<std::vector<Op>> stages_;  // one op more: the end
  std::vector<Actor> actors_;
};

}  // namespace railwright::emulator
