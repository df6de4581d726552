// The state of one matching: ports, chunks and events. Internal to matching.cpp and its choices in
// matching_ports.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <queue>
#include <random>
#include <tuple>

#include "collectives/synthesis/matching.hpp"

namespace railwright::collectives {

// A set of chunks.
class Chunks {
 public:
  explicit Chunks(std::size_t count) : words_((count + 63) / 64, 0) {}
  void insert(int c) { words_[c / 64] |= std::uint64_t{1} << (c % 64); }
  bool contains(int c) const { return (words_[c / 64] >> (c % 64) & 1) != 0; }
  std::size_t words() const { return words_.size(); }
  std::uint64_t word(std::size_t i) const { return words_[i]; }

 private:
  std::vector<std::uint64_t> words_;
};

// What one rank may send to another: what it holds and none of `without` has.
struct Choice {
  const Chunks* held = nullptr;
  std::vector<const Chunks*> without;

  std::uint64_t word(std::size_t i) const {
    std::uint64_t word = held->word(i);
    for (const Chunks* chunks : without) word &= ~chunks->word(i);
    return word;
  }
  bool empty() const {
    for (std::size_t i = 0; i < held->words(); ++i)
      if (word(i) != 0) return false;
    return true;
  }
};

// A first link of a rank, the ranks behind it and the rate at which each can be reached.
struct Port {
  struct Target {
    int rank = 0;
    double rate = 0;
    int last = -1;      // the link into it that all its ways end with; -1 where they differ
    bool near = false;  // one switch lies between
    int apart = 0;      // levels of groups that do not hold both ends
    bool slow = false;  // another port reaches it much faster
  };
  int rank = 0, link = 0;
  std::vector<Target> targets;
};

// What goes before what.
enum class Urgency : std::uint8_t { fresh, useful };

class Matcher {
 public:
  Matcher(const Fabric& fabric, const MatchingTask& task);
  Matching run();

 private:
  struct Event {
    std::int64_t at;
    int send;
    bool arrives;  // else: leaves
    auto operator<=>(const Event&) const = default;
  };
  struct Candidate {
    int held, order;
    Port::Target target;
    // The farthest comes first, for few ways lead there; then the target that has least.
    bool operator<(const Candidate& other) const {
      return std::tuple(-target.apart, held, order) <
             std::tuple(-other.target.apart, other.held, other.order);
    }
  };

  int all_chunks() const { return static_cast<int>(copies_.size()); }
  void add_ports();
  double widest(int from, int rank) const;
  int last_link(int from, int rank) const;
  int levels_apart(int one, int other) const;
  bool find_way(int from, int rank, double rate);
  void mark_slow();
  bool wanted(const Port& port, const Port::Target& target, Urgency urgency);
  bool comes_too_late(const Port::Target& target) const;
  bool try_port(const Port& port, Urgency urgency);
  void match_switches(Urgency urgency);
  bool augment(std::size_t port);
  const Choice& choice_of(int source, int target, Urgency urgency);
  int chosen_chunk(const Choice& choice);
  void note_coming(int target, int chunk);
  void start(const Port& port, const Port::Target& target, int chunk);
  void pass(const Event& event);
  void fill();

  const Fabric& fabric_;
  const MatchingTask& task_;
  std::mt19937_64 random_;
  std::vector<Port> ports_;
  std::vector<double> free_;          // rate of each link that is not taken
  std::vector<Chunks> held_, known_;  // arrived; and on their way
  // Known in each group and outside of it, by level and first rank.
  std::vector<std::vector<Chunks>> inside_, outside_;
  std::vector<double> inflow_;  // bytes/s into each rank
  Choice choice_;
  std::vector<int> known_count_, held_count_, copies_;
  std::vector<int> way_;
  std::vector<int> seen_;  // vertex -> last search
  int searches_ = 0;
  std::vector<Candidate> candidates_;
  // Of the matching over single switches: what each port could take, who has each link.
  std::vector<std::vector<Candidate>> options_;
  std::vector<std::pair<int, const Candidate*>> taken_;  // port, by link
  std::vector<int> tried_;                               // link -> last search
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t now_ = 0, window_ = 0;
  Matching matching_;
};

}  // namespace railwright::collectives
