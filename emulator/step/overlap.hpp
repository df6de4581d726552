// Communication that overlaps compute slows both. Private to the emulator.
//
// A rank is *overlapped* while it runs a compute op and at least one of its transfers is in flight
// (the latency before it is no load on the accelerator). Then its compute takes
// `compute_interference` times as long. A transfer is *disturbed* while one of its ranks is
// overlapped: its bytes take as many times as long as the largest `communication_interference` of
// its ranks says, while its links stay occupied as they were, so that rates do not change. For one
// op of C alone and one transfer of T alone that begin together,
//
//   C f_c <= T f_t:  the op ends at C f_c, the transfer at C f_c + T - C f_c / f_t
//   otherwise:       the transfer ends at T f_t, the op at T f_t + C - T f_t / f_c
//
// Both are at work until the first one ends; what is left of the other runs free. What changes at
// one instant changes together. An op that stands still on a dead accelerator counts as running.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "emulator/network.hpp"
#include "emulator/step/costs.hpp"

namespace railwright::emulator {

class Overlap {
 public:
  using OnEnd = std::function<void(int actor, int op, std::optional<Instant> end)>;

  // `costs` must outlive it.
  Overlap(int actors, const StepCosts& costs);

  void compute_begins(int actor, int op, Instant now, std::optional<Instant> end);
  // Whether this op really ends now: ends move as overlap comes and goes.
  bool ends_now(int actor, int op, Instant now) const;
  // How much later its op ends than it would have without overlap.
  Picoseconds compute_ends(int actor, Instant now);
  void transfer_begins(TransferId id, std::span<const int> actors);
  void transfer_ends(TransferId id, std::span<const int> actors);

  // After all that happens at `now`: slows and frees what is now, or no longer, overlapped.
  // `ends`: the op ends at another time; nothing: never.
  void settle(Instant now, Network& network, const OnEnd& ends);

 private:
  struct Actor {
    int op = -1;                 // that it computes
    std::optional<Instant> end;  // of it
    double slowdown = 1;         // of it, since then:
    Instant since;
    Seconds left;             // work of the op, at full speed
    Seconds lost;             // to overlap
    bool overlapped = false;  // as its transfers know it
    bool changed = false;
    std::vector<int> transfers;  // in flight
  };
  struct Moving {
    double factor = 1;  // while it is disturbed
    int disturbers = 0;
    bool disturbed = false, changed = false;
  };

  void mark_actor(int index);
  void mark_transfer(int id);
  void work_until(int index, Instant now);
  void change_overlap(int index, Instant now, const OnEnd& ends);
  void change_pace(int index, double slowdown, Instant now, const OnEnd& ends);

  const StepCosts& costs_;
  std::vector<Actor> actors_;
  std::vector<Moving> moving_;  // by transfer
  std::vector<int> changed_actors_, changed_transfers_;
};

}  // namespace railwright::emulator
