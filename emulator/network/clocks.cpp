#include "emulator/network/clocks.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "emulator/network.hpp"

namespace railwright::emulator {
namespace {

// A clock that has counted for longer than this many seconds starts again at zero: what doubles
// round off stays far below a picosecond.
constexpr double longest_count = 1;

}  // namespace

double Clocks::reading(const Clock& clock, Instant now) const {
  return clock.reading + clock.level * in_seconds({now.picoseconds - clock.since}).value;
}

// Counted from the latest change of the clock, so that it is rounded up once.
std::int64_t Clocks::end_of(const Clock& clock, const Entry& entry) const {
  const double left = entry.finish - clock.reading;
  if (left <= 0) return clock.since;
  const double seconds = left / clock.level;
  if (!(seconds <= in_seconds(latest_end - Instant{clock.since}).value))
    return std::numeric_limits<std::int64_t>::max();
  return clock.since + ceil_picoseconds({seconds}).count;
}

void Clocks::touch(int link) {
  if (clocks_[link].touched) return;
  clocks_[link].touched = true;
  touched_.push_back(link);
}

void Clocks::set_level(int link, double level, Instant now) {
  if (link >= static_cast<int>(clocks_.size())) clocks_.resize(link + 1);
  Clock& clock = clocks_[link];
  if (std::isinf(level)) level = 0;  // it holds nobody back
  const double read = reading(clock, now);
  if (!clock.heap.empty()) keep_due(clock, 0, now, read);
  clock.reading = clock.heap.empty() ? 0 : read;
  clock.since = now.picoseconds;
  clock.level = level;
  if (clock.reading > longest_count * level) rebase(clock);
  if (!clock.heap.empty()) touch(link);
}

// An end that has come stays, whatever rounding says is left to move.
void Clocks::keep_due(Clock& clock, std::size_t place, Instant now, double read) {
  if (place >= clock.heap.size()) return;
  Entry& entry = clock.heap[place];
  if (end_of(clock, entry) > now.picoseconds) return;
  entry.finish = std::min(entry.finish, read);
  keep_due(clock, 2 * place + 1, now, read);
  keep_due(clock, 2 * place + 2, now, read);
}

void Clocks::rebase(Clock& clock) {
  for (Entry& entry : clock.heap) {
    entry.finish -= clock.reading;
    flows_[entry.flow].joined -= clock.reading;
  }
  clock.reading = 0;
}

void Clocks::open(int flow, double bytes, double share) {
  if (flow >= static_cast<int>(flows_.size())) flows_.resize(flow + 1);
  flows_[flow] = {};
  flows_[flow].bytes = bytes;
  flows_[flow].share = share;
}

void Clocks::set_share(int f, double share, Instant now) {
  const int link = flows_[f].link;
  leave(f, now);
  flows_[f].share = share;
  if (link >= 0) join(f, link, now);
}

void Clocks::join(int f, int link, Instant now) {
  if (link >= static_cast<int>(clocks_.size())) clocks_.resize(link + 1);
  Clock& clock = clocks_[link];
  Flow& flow = flows_[f];
  const double read = reading(clock, now);
  flow.joined = read;
  flow.link = link;
  clock.heap.push_back({read + (flow.bytes - flow.moved) / flow.share, f});
  flow.place = static_cast<int>(clock.heap.size()) - 1;
  rise(clock, clock.heap.size() - 1);
  touch(link);
}

double Clocks::moved(int f, Instant now) const {
  const Flow& flow = flows_[f];
  if (flow.link < 0) return flow.moved;
  const double more = flow.share * (reading(clocks_[flow.link], now) - flow.joined);
  return std::min(flow.bytes, flow.moved + more);
}

void Clocks::leave(int f, Instant now) {
  Flow& flow = flows_[f];
  if (flow.link < 0) return;
  Clock& clock = clocks_[flow.link];
  const bool due = end_of(clock, clock.heap[flow.place]) <= now.picoseconds;
  flow.moved = due ? flow.bytes : moved(f, now);
  take(clock, static_cast<std::size_t>(flow.place));
  touch(flow.link);
  flow.link = -1;
}

void Clocks::refresh() {
  for (const int link : touched_) {
    Clock& clock = clocks_[link];
    clock.touched = false;
    const std::int64_t never = std::numeric_limits<std::int64_t>::max();
    const std::int64_t end = clock.heap.empty() ? never : end_of(clock, clock.heap.front());
    if (end == never)
      ends_.remove(link);
    else
      ends_.set(link, end);
  }
  touched_.clear();
}

void Clocks::take_ended(Instant now, std::vector<int>& flows) {
  while (!ends_.empty() && ends_.first_end() == now.picoseconds) {
    const int link = ends_.first_key();
    Clock& clock = clocks_[link];
    while (!clock.heap.empty() && end_of(clock, clock.heap.front()) <= now.picoseconds) {
      const int flow = clock.heap.front().flow;
      flows.push_back(flow);
      take(clock, 0);
      flows_[flow].moved = flows_[flow].bytes;
      flows_[flow].link = -1;
    }
    touch(link);
    refresh();
  }
}

void Clocks::put(Clock& clock, std::size_t place, Entry entry) {
  clock.heap[place] = entry;
  flows_[entry.flow].place = static_cast<int>(place);
}

std::size_t Clocks::rise(Clock& clock, std::size_t place) {
  const Entry entry = clock.heap[place];
  for (; place > 0 && entry.finish < clock.heap[(place - 1) / 2].finish; place = (place - 1) / 2)
    put(clock, place, clock.heap[(place - 1) / 2]);
  put(clock, place, entry);
  return place;
}

void Clocks::sink(Clock& clock, std::size_t place) {
  const Entry entry = clock.heap[place];
  const std::size_t size = clock.heap.size();
  for (std::size_t child = 2 * place + 1; child < size; child = 2 * place + 1) {
    if (child + 1 < size && clock.heap[child + 1].finish < clock.heap[child].finish) ++child;
    if (!(clock.heap[child].finish < entry.finish)) break;
    put(clock, place, clock.heap[child]);
    place = child;
  }
  put(clock, place, entry);
}

void Clocks::take(Clock& clock, std::size_t place) {
  const Entry last = clock.heap.back();
  clock.heap.pop_back();
  if (place == clock.heap.size()) return;
  put(clock, place, last);
  sink(clock, rise(clock, place));
}

}  // namespace railwright::emulator
