// Transfers in flight on the links of a cluster, in virtual time.
//
// Between two changes every transfer moves at its max-min rate. A change (a transfer starts or
// ends, a link's capacity changes) re-solves only the transfers that it can reach over shared
// links. The network never waits and never decides: it says when the next transfer ends.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
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
};

// From the previous piece's end (the transfer's start) until `end`, `link` set the rate; -1: its
// cap.
struct Piece {
  Instant end;
  topology::LinkId link;
};

// What one link carried so far.
struct LinkUse {
  double bytes = 0;
  double busy_seconds = 0;  // time with any load on it
};

class Network {
 public:
  // Capacities are effective (calibrated) unless `raw`.
  Network(const topology::Graph& graph, const topology::Calibration& calibration, bool raw = false);

  // Starts at `now`, which never goes back. A transfer without links and cap ends at once.
  TransferId start(Transfer transfer, Instant now);
  // Scales the effective capacity of a link from now on (0 < factor).
  void scale_capacity(topology::LinkId link, double factor, Instant now);

  // When the next transfer ends; nothing when none is in flight.
  std::optional<Instant> next_end() const;
  // Moves time to `now` <= next_end() and returns the transfers that end exactly then, by id.
  std::vector<TransferId> advance_to(Instant now);

  double rate(TransferId id) const;                       // bytes per second now
  const std::vector<Piece>& pieces(TransferId id) const;  // of an ended transfer: covers its life
  const LinkUse& use_of(topology::LinkId link) const;
  std::int64_t solves() const;
  // Checks the certificate of the current allocation; empty when it holds.
  std::string violation() const;

 private:
  // owned by the implementation
};

}  // namespace railwright::emulator
