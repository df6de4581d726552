// Transfers in flight on the links of a cluster, in virtual time.
//
// Between two changes every transfer moves at its max-min rate. A change (a transfer starts or
// ends, a link's capacity changes) touches only the links whose level it can reach
// (network/levels.hpp). The network never waits and never decides: it says when the next transfer
// ends.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulator/solver.hpp"
#include "topology/routing.hpp"

namespace railwright::emulator {

struct TransferId {
  int index = -1;
  auto operator<=>(const TransferId&) const = default;
};

struct Transfer {
  std::vector<topology::LinkShare> consumption;  // link load per unit of rate
  double bytes = 0;                              // until `rate` integrates to this
  double share = 1;
  double cap = std::numeric_limits<double>::infinity();  // bytes per second
  std::int64_t count = 1;  // transfers that it stands for, in LinkUse::limiting_seconds
};

// From the previous piece's end (the transfer's start) until `end`, `link` set the rate (-1: its
// cap), and bytes took `slowdown` times as long as that says.
struct Piece {
  Instant end;
  topology::LinkId link;
  float slowdown = 1;
};

// What one link carried so far.
struct LinkUse {
  double bytes = 0;
  double busy_seconds = 0;      // time with any load on it
  double offered_bytes = 0;     // what its capacity would have carried since time 0
  double limiting_seconds = 0;  // in which it set the rate (less what slowed the transfers by
                                // itself), summed over transfers, up to their
                                // latest piece
};

// Half of event time, 53 days: the other half is for what follows.
inline constexpr Instant latest_end{std::numeric_limits<std::int64_t>::max() / 2};

// Rates are doubles, time is a whole number of picoseconds: an end is rounded up, and lies within
// 2 ps x changes of the transfer's rate of the exact one.
class Network {
 public:
  // Capacities are effective (calibrated) unless `raw`. Both arguments must outlive the network.
  Network(const topology::Graph& graph, const topology::Calibration& calibration, bool raw = false);
  ~Network();
  Network(Network&&) noexcept;

  // Starts at `now`, which never goes back. A transfer without links and cap, or without bytes,
  // ends at once. Endless bytes (infinity) make a flow that never ends. Ids count from 0 in the
  // order of the starts and are never given twice. Starts at one instant are solved together.
  TransferId start(const Transfer& transfer, Instant now);
  // Ends a transfer in flight before its time; returns the bytes that it had left. Whatever ends at
  // `now` by itself must have been taken by advance_to.
  double stop(TransferId id, Instant now);
  // From now on its bytes take `factor` >= 1 times as long as the rate says, while it loads its
  // links as before: what it meets at its ends holds it up. 1 restores it. One that has ended, or
  // that ends at `now`, is left alone.
  void slow(TransferId id, double factor, Instant now);
  // Scales the effective capacity of a link from now on (0 < factor); 1 restores it.
  void scale_capacity(topology::LinkId link, double factor, Instant now);

  // When the next transfer ends; nothing when none is in flight or all are endless. One that would
  // end after `latest_end` is endless as long as nothing changes.
  std::optional<Instant> next_end() const;
  // Moves time to `now` <= next_end() and returns the transfers that end exactly then, by id; good
  // until the next call.
  const std::vector<TransferId>& advance_to(Instant now);
  // Moves time to `now` <= next_end() and ends nothing: what use_of says is as of then.
  void pass_until(Instant now);

  double rate(TransferId id) const;                // bytes per second of its links; 0 once it ended
  std::vector<Piece> pieces(TransferId id) const;  // of an ended transfer: covers its life
  void forget(TransferId id);  // frees the pieces of an ended transfer that nobody asks for again
  LinkUse use_of(topology::LinkId link) const;       // up to now
  std::vector<topology::LinkId> used_links() const;  // that carried or were scaled, ascending
  double capacity_of(topology::LinkId link) const;   // bytes per second, scaled as it is now
  std::int64_t solves() const;                       // levels of links computed so far
  // Checks the certificate of the current allocation; empty when it holds.
  std::string violation() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace railwright::emulator
