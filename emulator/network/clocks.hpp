// When flows end, without touching a flow whenever its rate changes.
//
// Flows that one link holds back share a level, so the link keeps a clock that counts bytes per
// unit of fairness share: it runs at the link's level, and a flow that still has `left` bytes ends
// when the clock reads left / phi more than now. A change of level touches the clock alone.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "emulator/network/end_queue.hpp"
#include "topology/units.hpp"

namespace railwright::emulator {

class Clocks {
 public:
  // The clock of a link runs at `level` (bytes per second and share) from now on.
  void set_level(int link, double level, Instant now);
  void open(int flow, double bytes, double share);  // nothing moved yet, on no clock
  // From now on the flow moves `share` bytes per count of its clock.
  void set_share(int flow, double share, Instant now);
  // From now on the flow runs on the clock of this link. One whose end has come stays ended.
  void join(int flow, int link, Instant now);
  void leave(int flow, Instant now);
  double moved(int flow, Instant now) const;
  double bytes(int flow) const { return flows_[flow].bytes; }

  // Brings the queue of ends up to date with everything above.
  void refresh();
  bool none_ends() const { return ends_.empty(); }
  std::int64_t first_end() const { return ends_.first_end(); }  // picoseconds
  // Takes the flows that end at `now` off their clocks; refresh() when it is done.
  void take_ended(Instant now, std::vector<int>& flows);

 private:
  struct Entry {
    double finish;  // reading of the clock
    int flow;
  };
  struct Clock {
    double level = 0, reading = 0;
    std::int64_t since = 0;  // when it read `reading`
    bool touched = false;
    std::vector<Entry> heap;  // earliest finish first
  };
  struct Flow {
    double bytes = 0, share = 1;
    double moved = 0, joined = 0;  // moved when the clock read `joined`
    int link = -1, place = 0;      // in the clock's heap
  };

  double reading(const Clock& clock, Instant now) const;
  std::int64_t end_of(const Clock& clock, const Entry& entry) const;
  void keep_due(Clock& clock, std::size_t place, Instant now, double reading);
  void rebase(Clock& clock);
  void touch(int link);
  void put(Clock& clock, std::size_t place, Entry entry);
  std::size_t rise(Clock& clock, std::size_t place);
  void sink(Clock& clock, std::size_t place);
  void take(Clock& clock, std::size_t place);

  std::vector<Clock> clocks_;  // by link
  std::vector<Flow> flows_;
  std::vector<int> touched_;
  EndQueue ends_;  // of links: the first of their flows
};

}  // namespace railwright::emulator
