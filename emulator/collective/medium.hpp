// The links under one collective: transfers, background flows, faults, and who limited for how
// long.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "emulator/collective.hpp"

namespace railwright::emulator {

class Medium {
 public:
  Medium(const CollectiveRun& run, const topology::Router& router,
         const topology::Calibration& calibration);

  TransferId start(Transfer transfer, Instant now);
  // When a transfer ends or a fault changes a link.
  std::optional<Instant> next() const;
  // Moves to `now` <= next(); returns the transfers that ended.
  std::vector<TransferId> advance_to(Instant now);
  // Moves through all changes up to `now`.
  void pass_until(Instant now);
  // The end of the run: counts are up to `now`.
  void finish(Instant now);

  // The link that set the rate of transfers for the longest time in all; -1: none did.
  topology::LinkId limiting_link() const;
  const Network& network() const { return network_; }
  std::int64_t events() const { return events_; }

 private:
  void tally(TransferId id);

  Network network_;
  std::vector<CapacityChange> changes_;  // by time
  std::size_t next_change_ = 0;
  std::vector<Instant> started_;                      // by transfer
  std::map<topology::LinkId, std::int64_t> limited_;  // picoseconds
  std::int64_t events_ = 0;
};

// Both return the moment at which every rank has its result.
// Every send, or bundle of sends at a switch, a transfer of its own: it starts when what it
// forwards has arrived and its channel's previous send has left; it arrives `latency` after its
// last byte has left.
Instant run_steps(const CollectiveRun& run, const topology::Router& router,
                  const topology::Calibration& calibration, Medium& medium);
// One transfer per phase, then the latencies of its steps; phases follow one another.
Instant run_phases(const std::vector<collectives::PhaseLoad>& loads, Medium& medium);

}  // namespace railwright::emulator
