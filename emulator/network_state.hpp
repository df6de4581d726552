// What Network keeps, shared by network.cpp (clock, starts, ends) and reallocation.cpp (rates).
#pragma once

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "emulator/end_queue.hpp"
#include "emulator/filling.hpp"
#include "emulator/network.hpp"

namespace railwright::emulator {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// A transfer's use of one link, and where the link lists it.
struct Use {
  int link;  // index into State::links
  double per_rate;
  int place;  // in the link's members
};

struct Flow {
  int id = -1;
  double bytes = 0, moved = 0;  // moved: until `updated`
  double share = 1, cap = 0;
  double rate = 0;
  int limiting = -1;  // link id
  bool solved = false;
  bool pending = false;  // its rate may have to change
  Instant updated, piece_start;
  std::int64_t end = never;
  std::vector<Use> uses;
  int mark = 0;  // == State::mark: in the region that is being solved
  double level() const { return rate / share; }
};

struct Member {
  int flow;
  int use;  // index into the flow's uses
};

// A link that has been used: most links of a large cluster never are.
struct UsedLink {
  int id = -1;
  double capacity = 0, factor = 1;
  double offered = 0;  // bytes since time 0, up to the last change of `factor`
  std::int64_t factor_since = 0;
  double bytes = 0;  // of transfers that ended
  std::int64_t busy = 0, busy_since = 0;
  std::vector<Member> members;
  int mark = 0;   // == State::mark: a flow of the region uses it
  int local = 0;  // its index in `filling` then
};

struct Network::State {
  const topology::Graph* graph = nullptr;
  const topology::Calibration* calibration = nullptr;
  bool raw = false;
  Instant now;
  std::vector<double> class_efficiency;  // negative: not asked yet
  std::vector<int> index_of_link;        // into links; -1: never used
  std::vector<UsedLink> links;
  std::vector<Flow> flows;
  std::vector<int> free_flows;
  std::vector<int> flow_of;  // transfer id -> flow; -1: ended
  std::vector<std::vector<Piece>> pieces;
  EndQueue ends;

  // Flows that a change concerns at first hand; the rest of the region is found while solving.
  std::vector<int> pending;
  std::vector<int> region, region_links;     // region_links[i] is link i of `filling`
  std::vector<double> contested_level;       // per region link
  std::vector<std::pair<int, int>> renamed;  // flow, its new limiting link
  Filling filling;
  int mark = 0;
  std::int64_t solves = 0;

  double effective_capacity(topology::LinkId link);
  int index_of(topology::LinkId link);
  int free_flow();
  void attach(int f, const topology::LinkShare& load);
  void detach(int f);
  void finish(int f);
  void move_clock(Instant to);
  double moved_by(const Flow& flow) const;
  void cut_piece(Flow& flow);
  System current_system() const;

  void concern(int f);                // its rate may have to change
  void concern_limited_by(int link);  // everybody whom this link holds back
  void concern_all_on(int link);
  void settle();  // afterwards rates, limiting links and ends are right
  void solve_region(int seed);
  void join_region(int f);
  void solve_once();
  bool widen_region();
  bool widen_at(int region_link);
  void flood_region();
  void apply_region();
  void apply(int f, double rate, int limiting);
};

}  // namespace railwright::emulator
