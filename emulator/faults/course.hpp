// Faults as courses of time: which links are dead when, how fast an accelerator is when. Private to
// the emulator.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "emulator/faults.hpp"

namespace railwright::emulator {

// Of a LinkDegradation, a Slowdown or a Loss.
template <class Event>
bool is_active(const Event& event, Instant at) {
  return event.from <= at && (!event.until || at < *event.until);
}

// Links that carry nothing from `from` until the next of these.
struct DeadLinks {
  Instant from;
  std::vector<topology::LinkId> links;  // ascending
};
// The first, from 0, is empty: nothing is dead. Then one for each time that something changes,
// time 0 included.
std::vector<DeadLinks> courses_of_dead_links(const std::vector<LinkDegradation>& degradations);

// How fast an accelerator computes, from time 0 to for ever.
class SpeedCourse {
 public:
  SpeedCourse() = default;  // always at full speed
  // The events of one accelerator; factors multiply where they meet.
  explicit SpeedCourse(const std::vector<Slowdown>& events);
  // When work that takes `work` at full speed ends; nothing: never.
  std::optional<Instant> end_of(Instant start, Picoseconds work) const;
  // What gets done, as the time that it takes at full speed.
  Seconds work_within(Instant from, Instant to) const;
  Picoseconds standing_still(Instant from, Instant to) const;
  Instant last_change() const { return pieces_.back().from; }
  bool operator==(const SpeedCourse&) const = default;

 private:
  struct Piece {
    Instant from;
    double slowdown = 1;  // 1 / speed; 0: stands still
    bool operator==(const Piece&) const = default;
  };
  std::size_t piece_at(Instant at) const;
  Instant end_of_piece(std::size_t piece) const;

  std::vector<Piece> pieces_ = {{Instant{0}, 1}};
};
std::map<topology::AcceleratorId, SpeedCourse> speed_courses(const std::vector<Slowdown>& events);

}  // namespace railwright::emulator
