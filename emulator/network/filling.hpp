// Progressive filling on flat arrays: the solver behind max_min and Network, reused without
// allocation from one problem to the next.
#pragma once

#include <limits>
#include <utility>
#include <vector>

namespace railwright::emulator {

// One weighted max-min problem. Fill it (clear, add_link, add_variable with add_consumption), then
// solve; O(total consumption x log links).
//
// All rates grow as share x level. A link whose load reaches its capacity freezes its variables; so
// does a cap. The level of a link, slack / weight, never falls while others freeze, so that a heap
// entry that turns out stale is pushed back at its new place.
class Filling {
 public:
  static constexpr double tie = 1e-10;  // relative: levels closer than this are equal

  void clear();
  // `label` decides between links that bind at once: the lowest wins. Returns the link's index.
  int add_link(double capacity, int label);
  void add_variable(double share, double cap);
  void add_consumption(int link, double per_rate);  // of the variable added last; per_rate > 0
  void solve();

  int variables() const { return static_cast<int>(share_.size()); }
  double rate(int variable) const { return rate_[variable]; }
  int label(int link) const { return links_[link].label; }
  // Index of the lowest-labelled saturated link that binds the variable; -1: its cap.
  int limiting(int variable) const { return limiting_[variable]; }
  bool saturated(int link) const { return links_[link].slack <= links_[link].capacity * tie; }
  double level(int link) const { return links_[link].level; }  // highest on it

 private:
  struct Entry {
    int link;
    double per_rate;
  };
  struct Link {
    double capacity;
    double slack;   // capacity less what frozen variables take
    double weight;  // sum of consumption x share over the variables that still grow
    int growing;    // how many those are
    int first;      // into member_; members are variables
    int label;
    double level;  // after the solve: the largest rate / share on it
  };
  using Candidate = std::pair<double, int>;  // level, link or variable

  void fold_private_links();
  void list_members();
  void make_candidates();
  void grow();
  bool settle_top_link();
  void freeze_by_link(int link);
  void freeze(int variable, double rate, int by);
  double level_of(const Link& link) const;
  void recount(int link);
  void pop_link();
  void find_limiting();
  void name_limiting(int variable);
  bool binds(int link, double level) const;

  std::vector<Link> links_;
  std::vector<double> share_, cap_;
  std::vector<int> first_;  // of each variable's entries
  std::vector<Entry> entries_;
  std::vector<int> member_;
  std::vector<double> member_rate_;  // consumption of that member
  std::vector<int> cap_link_;        // private link that makes the cap; -1: the variable's own
  std::vector<char> frozen_;
  std::vector<Candidate> heap_;  // links, lowest level first
  std::vector<Candidate> caps_;  // variables with a finite cap, ascending
  std::vector<double> rate_;
  std::vector<int> limiting_;
  double current_ = 0;  // the level that has been reached
  int growing_ = 0;
};

}  // namespace railwright::emulator
