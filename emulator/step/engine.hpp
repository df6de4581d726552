// The event loop of a step. It moves time and hands ends to those who wait for them; what things
// cost and who waits for whom is asked of StepCosts and Layout. Private to the emulator.
#pragma once

#include <functional>
#include <vector>

#include "emulator/network.hpp"
#include "emulator/step/costs.hpp"
#include "emulator/step/event_queue.hpp"
#include "emulator/step/places.hpp"

namespace railwright::emulator {

inline constexpr Instant not_yet{-1};

// A collective of one group, or a send, as it happened.
struct Exchange {
  Instant start = not_yet;  // all members there
  const ExchangeCost* cost = nullptr;
  std::int64_t first_transfer = 0;  // of its phases, into StepRecord::transfers
  int arrived = 0;
  int last_actor = -1;  // the last member to arrive; ties: the lowest
  int last_op = -1;     // its op
  int phase = 0;
};

// Everything that happened in one step.
struct StepRecord {
  std::vector<Instant> ready, end;    // per op instance
  std::vector<Exchange> exchanges;    // per exchange
  std::vector<TransferId> transfers;  // per phase of every exchange; -1: nothing to move
  std::vector<Picoseconds> wait;      // per actor: for its peers
  std::int64_t events = 0;
  bool outlasts_time = false;  // event time ended first: nothing else here is whole
};

class StepEngine {
 public:
  // All arguments must outlive it.
  StepEngine(const Layout& layout, StepCosts& costs, Network& network, const StepFaults& faults);
  StepRecord run(const std::function<void(double)>& progress);

 private:
  enum class EventKind : std::uint8_t { compute_end, latency_end, fault };
  struct Event {
    EventKind kind;
    int actor, op;  // latency_end: the owner's
  };
  struct OpOfActor {
    int actor, op;
  };

  void schedule_faults();
  void push(Instant when, EventKind kind, int actor, int op);
  void start_first_ops();
  void handle(const Event& event);
  void apply_faults();
  void end_transfers();
  void drain();  // starts what became ready at this instant
  void begin(OpOfActor what);
  void arrive(OpOfActor what);
  void receive(OpOfActor what);
  void begin_exchange(OpOfActor owner);
  void begin_phase(OpOfActor owner);
  void begin_transfer(OpOfActor owner);
  void end_exchange(OpOfActor owner);
  void end_collective(OpOfActor owner);
  void end_send(OpOfActor owner);
  void end_op(OpOfActor what);

  const Layout& layout_;
  const Places places_;
  StepCosts& costs_;
  Network& network_;
  const StepFaults& faults_;
  StepRecord record_;
  Instant now_{0};
  EventQueue<Event> events_;
  std::int64_t pushed_ = 0, ended_ = 0;
  std::vector<std::uint16_t> waits_for_;      // per op instance
  std::vector<OpOfActor> ready_;              // in the order in which they became so
  Transfer transfer_;                         // that is being started
  std::vector<OpOfActor> owner_of_transfer_;  // by transfer id
  std::size_t transfers_ended_ = 0;
};

}  // namespace railwright::emulator
