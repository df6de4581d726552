// An exchange from its start to its end, span by span. Private to the emulator.
#pragma once

#include "emulator/step/engine.hpp"

namespace railwright::emulator {

// Calls, in the order of time and without overlap,
//   latency(phase, from, to)  the steps of a phase pass
//   piece(piece, from, to)    a transfer moves: which link sets the rate, what slows it
//   gap(from, to)             nothing leads to the members
// and returns the end of the last one.
template <class Latency, class OnPiece, class OnGap>
Instant walk_exchange(const StepRecord& record, const Network& network, std::int64_t index,
                      Latency latency, OnPiece piece, OnGap gap) {
  const Exchange& exchange = record.exchanges[index];
  const auto start_of = [&](TransferId transfer, Instant otherwise) {
    const auto late = record.late_start.find(transfer.index);
    return late == record.late_start.end() ? otherwise : late->second;
  };
  Instant now = exchange.start;
  for (int p = 0; p < static_cast<int>(exchange.cost->phases.size()); ++p) {
    const ExchangePhase& phase = record.phase(index, p);
    TransferId transfer = record.transfers[exchange.first_transfer + p];
    const Instant begin = start_of(transfer, now + phase.latency);
    const Instant latency_begin{begin.picoseconds - phase.latency.count};
    if (now < latency_begin) gap(now, latency_begin);
    latency(phase, latency_begin, begin);
    now = begin;
    while (transfer.index >= 0) {
      for (const Piece& each : network.pieces(transfer)) {
        piece(each, now, each.end);
        now = each.end;
      }
      const auto next = record.carried_on_by.find(transfer.index);
      if (next == record.carried_on_by.end()) break;
      transfer = next->second;
      const Instant resumed = start_of(transfer, now);
      if (now < resumed) gap(now, resumed);
      now = resumed;
    }
  }
  return now;
}

}  // namespace railwright::emulator
