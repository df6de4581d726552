// Steps that do the same in many periods of the fabric (topology::Router::period): one period of
// each kind is looked at. Private to the emulator.
//
// Periods are of one kind where ranks at equal places run equal stages. Every group lies in one
// period, or takes as many places, and the same ones, in each of several periods of one kind; sends
// of ranks that lie alike go to ranks that lie alike. That the links of all periods of a kind carry
// the same is seen when collectives are traced (collectives::BundleLoads). Then ranks, groups and
// links at equal places of equal kinds see equally many of all others in every relation: what holds
// for one period of each kind holds for all.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "collectives/cost.hpp"
#include "emulator/step.hpp"
#include "emulator/step/programs.hpp"

namespace railwright::emulator {

class Periods {
 public:
  // Nothing where ranks do not lie as they are numbered, do not fill whole periods, or where faults
  // tell these apart.
  static std::optional<Periods> of(const Programs& programs, const Plan& plan,
                                   const topology::Router& router, const StepFaults& faults);

  // Of the ranks that are looked at, numbered through: seats.
  const RankTable& seats() const { return seats_; }
  std::int64_t rank_at(std::int64_t seat) const {
    return std::int64_t{first_of_kind_[static_cast<std::size_t>(seat / each_)]} * each_ +
           seat % each_;
  }
  // That stands for the rank.
  std::int64_t seat_of(std::int64_t rank) const {
    return std::int64_t{kind_[static_cast<std::size_t>(rank / each_)]} * each_ + rank % each_;
  }
  topology::AcceleratorId accelerator_under(std::int64_t rank) const {
    return {static_cast<int>(first_accelerator_ + rank)};
  }
  // Periods of each kind.
  std::int64_t copies() const {
    return static_cast<std::int64_t>(kind_.size() / first_of_kind_.size());
  }
  // Whether those `to - from` further on than the ranks that `from` stands for are as `to` is.
  bool lie_alike(std::int64_t from, std::int64_t to) const;

  // As BundleLoads takes it: per period of the cluster.
  const std::vector<int>& stands_for() const { return stands_for_; }
  // Names the link and those that it stands for, as far as they are among the lowest of the set.
  void name(topology::LinkId link, const topology::Router& router, collectives::LinkSet& set) const;

 private:
  bool find_kinds(const Programs& programs);
  bool find_groups(const Programs& programs);
  std::optional<GroupTable> groups_of_seats(const GroupTable& groups) const;

  std::int64_t each_ = 0;  // ranks of a period
  std::int64_t first_accelerator_ = 0;
  int first_period_ = 0;            // of the cluster that holds ranks
  std::vector<int> kind_;           // per period that holds ranks
  std::vector<int> first_of_kind_;  // of those periods
  std::vector<int> stands_for_;
  RankTable seats_;
};

}  // namespace railwright::emulator
