// The events of a step. An engine hands ends to those who wait for them; what things cost and who
// waits for whom is asked of StepCosts and Layout. The loop moves time, for one engine or for
// several on one network. Private to the emulator.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "emulator/network.hpp"
#include "emulator/step/costs.hpp"
#include "emulator/step/event_queue.hpp"
#include "emulator/step/overlap.hpp"
#include "emulator/step/places.hpp"

namespace railwright::emulator {

inline constexpr Instant not_yet{-1};

struct OpOfActor {
  int actor = -1, op = -1;
};

// A collective of one group, or a send, as it happened.
struct Exchange {
  Instant start = not_yet;             // all members there
  const ExchangeCost* cost = nullptr;  // of the healthy cluster
  std::int64_t first_transfer = 0;     // of its phases, into StepRecord::transfers
  int arrived = 0;
  int last_actor = -1;  // the last member to arrive; ties: the lowest
  int last_op = -1;     // its op
  int phase = 0;
  bool stalled = false;  // at some time nothing led to its members
};

// Everything that happened in one step.
struct StepRecord {
  std::vector<Instant> ready, end;    // per op instance
  std::vector<Exchange> exchanges;    // per exchange
  std::vector<TransferId> transfers;  // per phase of every exchange; -1: nothing to move
  std::vector<Picoseconds> wait;      // per actor: for its peers
  // Per op instance: how much longer compute took because of overlap; empty: nothing interferes.
  std::vector<Picoseconds> lost_to_overlap;
  std::int64_t events = 0;
  bool outlasts_time = false;  // event time ended first: nothing else here is whole

  // Where links died: phases on other ways than the healthy ones (exchange, phase), transfers whose
  // rest another one moved, and starts that do not follow from what came before.
  std::map<std::pair<std::int64_t, int>, const ExchangeCost*> other_cost;
  std::map<int, TransferId> carried_on_by;
  std::map<int, Instant> late_start;

  // Nothing could happen any more: these exchanges have no way, these ops stand still for ever.
  std::optional<Instant> standstill;
  std::vector<OpOfActor> cut_off, dead;

  const ExchangePhase& phase(std::int64_t exchange, int phase) const {
    const auto other = other_cost.find({exchange, phase});
    const ExchangeCost* cost = exchanges[exchange].cost;
    return (other == other_cost.end() ? cost : other->second)->phases[phase];
  }
};

class StepEngine {
 public:
  // All arguments must outlive it.
  StepEngine(const Layout& layout, StepCosts& costs, Network& network, const LiveRoutes& routes,
             const StepFaults& faults);
  StepEngine(const StepEngine&) = delete;
  StepEngine& operator=(const StepEngine&) = delete;

  // Before begin: `look` is called at these times, ascending, as long as the step goes on.
  void look_at(const std::vector<Instant>& times, std::function<void(Instant)> look);
  void begin(Instant now);
  bool ended() const { return ended_ == layout_.instances(); }
  double progress() const;  // 0..1
  // Nothing will ever happen in it again, whatever others do.
  bool stuck() const { return !ended() && moving_ == 0 && !next_event(); }
  // Its own next event; ends of transfers are the network's.
  std::optional<Instant> next_event() const;
  // Others' transfers are left alone.
  void end_transfers(const std::vector<TransferId>& transfers, Instant now);
  void handle_events(Instant now);
  // After the loop: ended, standing still, or beyond event time.
  StepRecord take();

 private:
  enum class EventKind : std::uint8_t { compute_end, latency_end, fault, look };
  struct Event {
    EventKind kind;
    int actor, op;  // latency_end: the owner's
  };
  // An exchange to which nothing leads now.
  struct Stalled {
    OpOfActor owner;
    bool in_latency = false;     // the phase's latency had not begun
    std::optional<double> left;  // bytes of a transfer that was in flight
    TransferId transfer;
  };

  void schedule_faults(Instant now);
  void push(Instant when, EventKind kind, int actor, int op);
  void start_first_ops();
  void handle(const Event& event);
  void scale_links();
  void change_routes();
  void move_transfer(int id);
  void resume(const Stalled& stalled);
  void stall(Stalled stalled);
  void drain();  // starts what became ready at this instant
  void begin(OpOfActor what);
  void begin_compute(OpOfActor what);
  void end_compute(OpOfActor what);
  void settle_overlap();
  std::span<const int> actors_of(OpOfActor owner);
  void arrive(OpOfActor what);
  void receive(OpOfActor what);
  void begin_exchange(OpOfActor owner);
  void begin_phase(OpOfActor owner);
  void begin_transfer(OpOfActor owner);
  TransferId start_transfer(OpOfActor owner, const ExchangePhase& phase, double bytes);
  Exchange& exchange_of(OpOfActor owner);
  const ExchangeCost& cost_now(OpOfActor owner);
  void end_exchange(OpOfActor owner);
  void end_collective(OpOfActor owner);
  void end_send(OpOfActor owner);
  void end_op(OpOfActor what);

  const Layout& layout_;
  const Places places_;
  StepCosts& costs_;
  Network& network_;
  const LiveRoutes& routes_;
  std::vector<CapacityChange> changes_;
  std::size_t next_change_ = 0;
  int epoch_ = 0;  // of dead links
  std::function<void(Instant)> look_;
  StepRecord record_;
  Instant now_{0}, moved_{0};  // moved_: when an op ended last
  EventQueue<Event> events_;
  std::int64_t pushed_ = 0, ended_ = 0, transfers_ = 0;
  std::vector<std::uint16_t> waits_for_;      // per op instance
  std::vector<OpOfActor> ready_;              // in the order in which they became so
  Transfer transfer_;                         // that is being started
  std::vector<OpOfActor> owner_of_transfer_;  // by transfer id; others' have none
  std::set<int> in_flight_;                   // transfers; only where links die
  int moving_ = 0;                            // transfers in the network
  std::vector<Stalled> stalled_;
  std::optional<Overlap> overlap_;  // where it slows anything
  std::array<int, 2> ends_of_send_{};
};

// The loop's body: moves time to the next instant at which something happens to engines that have
// begun on this network, and lets it happen. Nothing: nothing can happen any more.
std::optional<Instant> run_instant(std::span<StepEngine* const> engines, Network& network);

}  // namespace railwright::emulator
