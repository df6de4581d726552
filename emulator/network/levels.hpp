// Weighted max-min that follows changes: flows come and go, capacities change,
// and only what a change can reach is computed again.
//
// The state is a level per link. A flow's level x / phi is the least level on
// its links; a link's level is the root of
//   sum over its flows of a phi min(level, least level of the flow's other
//   links) = capacity,
// infinite when even that does not fill the link. Any fixpoint is the max-min
// allocation: a flow's rate is set by a link that is full and on which nobody
// has a larger x / phi, which is the certificate (solver.hpp), and the
// allocation that carries it is unique.
//
// A change makes the links of its flows stale. Stale links are computed again
// in the order of their old levels; one whose level comes out different makes
// stale those links of its flows whose rate thereby changes. A link with room
// to spare only keeps count of it, and is computed when it is nearly full. A flow
// that meets nobody stays out of all this until somebody comes (lone.cpp).
// Where many flows come at once, or that order does not settle soon, the
// component around the stale links is solved as a whole (filling.hpp).
#pragma once

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "emulator/network/filling.hpp"
#include "emulator/network/min_tree.hpp"
#include "emulator/network/stale_queue.hpp"

namespace railwright::emulator {

// A cap is a link of its own whose level never changes.
class Levels {
 public:
  static constexpr double tie = 1e-10;  // relative: levels closer than this are equal
  // Less room than this part of the capacity calls for an exact look.
  static constexpr double nearly_full = 1e-9;
  // What is added up bit by bit drifts: as often in a row the sum is trusted.
  static constexpr int quick_looks = 64;

  static constexpr int widest_scan = 24;  // uses searched one by one; more get a tree

  struct Load {
    int link;
    double per_rate;  // a > 0
  };
  struct Member {
    int flow;
    int use;        // which of the flow's uses
    double weight;  // a x phi
  };

  // Of links that bind at once the one with the lowest label is named.
  int add_link(double capacity, int label);
  void set_capacity(int link, double capacity);
  // Needs a load or a finite cap; no link twice. Indices of flows that left are
  // given again.
  int add_flow(double share, double cap, const std::vector<Load>& loads);
  void remove_flow(int flow);
  // Afterwards levels and limiting links are right.
  void settle();

  // By the latest settle: links whose level is another, flows whose limiting
  // link is another.
  const std::vector<int>& changed_links() const { return changed_; }
  const std::vector<int>& relimited_flows() const { return relimited_; }

  double level(int link) const { return level_[link]; }
  double capacity(int link) const { return links_[link].capacity; }
  int flows_on(int link) const {
    return static_cast<int>(links_[link].members.size()) + (lone_[link] >= 0);
  }
  bool is_cap(int link) const { return links_[link].is_cap; }
  double flow_level(int flow) const { return flows_[flow].level; }
  double share(int flow) const { return flow_rests_[flow].share; }
  double cap(int flow) const;                                     // infinite when it has none
  int limiting(int flow) const { return flows_[flow].limiting; }  // a link; its cap's, too
  template <class Visit>
  void for_flows(int link, Visit visit) const;  // visit(flow, a)
  template <class Visit>
  void for_uses(int flow,
                Visit visit) const;  // visit(link, a) for each link that is no cap
  std::int64_t evaluations() const { return evaluations_; }  // levels computed so far

 private:
  // What every look needs lies together, the rest elsewhere: looks wait for
  // memory.
  struct Link {
    std::vector<Member> members;
    int held = 0;         // the first of the members: those that it holds
    int trees = 0;        // members that have one
    int quick_looks = 0;  // that are left until all is summed afresh
    bool is_cap = false;
    bool forced = false;  // a flow without any level waits for this one
    bool tied = false;    // limits, by name, somebody whom another link holds
    bool changed = false;
    double capacity = 0;
    double before = 0;  // level at the start of the settle, when `changed`
  };
  struct LinkRest {
    int label = 0;
    int dominator = -1;          // a link that always binds first: this one is left alone
    std::vector<int> dominated;  // by this one
    int mark = 0;                // == mark_: in the component that is being solved
    int local = 0;               // its index in filling_ then
  };
  struct alignas(32) Room {
    double slack = 0;  // capacity less what members take
    double wake = 0;   // stale when the slack is less
    double high = 0;   // no member that others hold has a higher level
    bool queued = false;
  };
  static constexpr int near_uses = 8;
  // A line of memory: what a change of its level needs.
  struct alignas(64) Flow {
    double level = 0;          // 0: not yet known
    double weight = 0;         // on all its links; negative: it differs (use_weight_)
    int first = 0, count = 0;  // uses: a block of the arrays below
    int holder = -1;           // the use whose link has this level
    int limiting = -1;         // of all that have it, up to `tie`, the one to name
    int near[near_uses];       // the links of its uses, when these are few
  };
  struct FlowRest {
    double share = 1;
    int tree = -1;        // of a flow with many uses
    int mark = 0;         // == mark_: in the component that is being solved
    bool marked = false;  // its limiting link may be another
    bool lone = false;    // has all its links for itself: no link lists it (lone_ does)
    bool active = false;
  };
  // Where a member of the link that is looked at stands without it.
  struct Elsewhere {
    double level, weight;
    int flow, use;
    int holder;  // the use whose link has this level
  };

  int new_flow(int uses);
  int new_cap(double level);
  bool nobody_on(const std::vector<Load>& loads) const;
  void use_links(int flow, double share, const std::vector<Load>& loads);
  void join_links(int flow);
  void leave_links(int flow);
  void start_lone(int flow);
  void end_lone(int flow);
  void give_up_lone(int link);
  bool fills(int flow, int use, double level) const;
  void move_member(int link, int from, int to);
  void make_stale(int link, double otherwise = 0);
  void arrive(int flow);
  void empty(int link);
  const int* links_of(const Flow& flow) const {
    return flow.count <= near_uses ? flow.near : &use_link_[flow.first];
  }
  double own_level(int link) const;
  void force_links(const Flow& flow);
  void hold(int flow, int use);
  void shift(int flow, double level, int holder, int except);
  void relax();
  Elsewhere elsewhere_of(const Member& member) const;
  void look_elsewhere(int link);
  void evaluate(int link);
  double root(int link, double capacity) const;
  double root_beyond(int link, double capacity, double highest) const;
  bool evaluate_quickly(int link);
  void change_level(int link, double level);
  void lower(int link, double level);
  void raise(int link, double capacity);
  void publish(int link, double level, double capacity);
  void follow(const Elsewhere& member, int link);
  void keep_tree(int flow);
  void begin_changes();
  void note_change(int link);
  void mark_flow(int flow);
  void name_limiting();
  int lowest_binding(const Flow& flow) const;
  void report();

  double part_of(int flow, int link) const;
  bool dominates(int by, int link, const Member& member) const;
  bool stands_back(int link);
  void stand_up(int link);
  void check_dominance(int flow);

  bool crowded() const;
  void solve_component();
  void collect_component();
  void seed(int link);
  void fill_component();
  void take_component();

  std::vector<double> level_;
  std::vector<int> lone_;  // by link: the flow that has it, and all its other links, for itself
  std::vector<Room> room_;
  std::vector<Link> links_;
  std::vector<LinkRest> link_rests_;
  std::vector<Flow> flows_;
  std::vector<FlowRest> flow_rests_;
  std::vector<int> use_link_, use_place_;  // place: in the link's members
  std::vector<double> use_weight_;
  std::vector<std::vector<int>> free_blocks_;  // of uses, by size
  std::vector<int> free_flows_, free_caps_, free_trees_;
  std::vector<MinTree> trees_;

  std::vector<int> arrived_, changed_, relimited_, marked_;
  bool reported_ = false;  // these are of the latest settle; nothing has changed since
  StaleQueue stale_;
  // Of the members of the link that is evaluated, that was published.
  std::vector<Elsewhere> elsewhere_, published_;
  std::vector<double> tree_values_;
  std::vector<int> component_flows_, component_links_;
  Filling filling_;
  std::int64_t evaluations_ = 0;
  std::int64_t uses_ = 0;   // of all flows
  std::int64_t spent_ = 0;  // members looked at by this settle
  int mark_ = 0;
};

template <class Visit>
void Levels::for_flows(int link, Visit visit) const {
  for (const Member& member : links_[link].members)
    visit(member.flow, member.weight / flow_rests_[member.flow].share);
  if (lone_[link] < 0) return;
  for_uses(lone_[link], [&](int other, double per_rate) {
    if (other == link) visit(lone_[link], per_rate);
  });
}

template <class Visit>
void Levels::for_uses(int flow, Visit visit) const {
  const Flow& f = flows_[flow];
  for (int u = f.first; u < f.first + f.count; ++u)
    if (!links_[use_link_[u]].is_cap) visit(use_link_[u], use_weight_[u] / flow_rests_[flow].share);
}

}  // namespace railwright::emulator
