#include "emulator/faults/course.hpp"

#include <algorithm>

namespace railwright::emulator {
namespace {

constexpr Instant never{INT64_MAX};

// When any of these begins or ends, each time once, ascending.
template <class Events>
std::vector<Instant> boundaries_of(const Events& events) {
  std::vector<Instant> times;
  for (const auto& event : events) {
    times.push_back(event.from);
    if (event.until) times.push_back(*event.until);
  }
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

}  // namespace

std::vector<DeadLinks> courses_of_dead_links(const std::vector<LinkDegradation>& degradations) {
  std::vector<LinkDegradation> losses;
  std::ranges::copy_if(degradations, std::back_inserter(losses),
                       [](const LinkDegradation& event) { return event.factor == 0; });
  std::vector<DeadLinks> courses = {{Instant{0}, {}}};
  for (const Instant at : boundaries_of(losses)) {
    DeadLinks dead{at, {}};
    for (const LinkDegradation& loss : losses)
      if (is_active(loss, at)) dead.links.push_back(loss.link);
    std::ranges::sort(dead.links);
    dead.links.erase(std::unique(dead.links.begin(), dead.links.end()), dead.links.end());
    if (dead.links != courses.back().links) courses.push_back(std::move(dead));
  }
  return courses;
}

SpeedCourse::SpeedCourse(const std::vector<Slowdown>& events) {
  for (const Instant at : boundaries_of(events)) {
    Piece piece{at, 1};
    bool stands = false;
    for (const Slowdown& event : events) {
      if (!is_active(event, at)) continue;
      stands = stands || event.factor == 0;
      if (event.factor > 0) piece.slowdown /= event.factor;
    }
    if (stands) piece.slowdown = 0;
    if (at == pieces_.back().from) pieces_.pop_back();
    if (pieces_.empty() || pieces_.back().slowdown != piece.slowdown) pieces_.push_back(piece);
  }
}

std::size_t SpeedCourse::piece_at(Instant at) const {
  const auto after = std::ranges::upper_bound(pieces_, at, {}, &Piece::from);
  return static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

Instant SpeedCourse::end_of_piece(std::size_t piece) const {
  return piece + 1 < pieces_.size() ? pieces_[piece + 1].from : never;
}

// What runs at one speed from beginning to end is rounded once, and takes `work` exactly at full
// speed.
std::optional<Instant> SpeedCourse::end_of(Instant start, Picoseconds work) const {
  if (work.count == 0) return start;
  Seconds left = in_seconds(work);
  Picoseconds least = work;  // until the speed changes underway
  for (std::size_t p = piece_at(start); p < pieces_.size(); ++p) {
    const double slowdown = pieces_[p].slowdown;
    const Picoseconds span = end_of_piece(p) - start;
    if (slowdown > 0) {
      const Seconds time = slowdown * left;
      if (time.value < 1.000001 * in_seconds(span).value) {
        const bool untouched = slowdown == 1 && least == work;
        const Picoseconds needed = untouched ? work : std::max(least, ceil_picoseconds(time));
        if (needed <= span) return start + needed;
      }
      left = std::max(Seconds{}, left - (1 / slowdown) * in_seconds(span));
      least = {};
    }
    start = start + span;
  }
  return std::nullopt;
}

Seconds SpeedCourse::work_within(Instant from, Instant to) const {
  Seconds work;
  for (std::size_t p = piece_at(from); p < pieces_.size() && pieces_[p].from < to; ++p)
    if (pieces_[p].slowdown > 0)
      work = work + (1 / pieces_[p].slowdown) *
                        in_seconds(std::min(to, end_of_piece(p)) - std::max(from, pieces_[p].from));
  return work;
}

Picoseconds SpeedCourse::standing_still(Instant from, Instant to) const {
  Picoseconds still;
  for (std::size_t p = piece_at(from); p < pieces_.size() && pieces_[p].from < to; ++p)
    if (pieces_[p].slowdown == 0)
      still += std::min(to, end_of_piece(p)) - std::max(from, pieces_[p].from);
  return still;
}

std::map<topology::AcceleratorId, SpeedCourse> speed_courses(const std::vector<Slowdown>& events) {
  std::map<topology::AcceleratorId, std::vector<Slowdown>> by_accelerator;
  for (const Slowdown& event : events) by_accelerator[event.accelerator].push_back(event);
  std::map<topology::AcceleratorId, SpeedCourse> courses;
  for (const auto& [accelerator, of_it] : by_accelerator) courses[accelerator] = SpeedCourse(of_it);
  return courses;
}

}  // namespace railwright::emulator
