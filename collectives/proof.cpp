#include "collectives/proof.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "collectives/happens_before.hpp"

namespace railwright::collectives {
namespace {

std::string text_of(const TimedSend& timed) {
  const Send& send = timed.send;
  return fmt::format("phase {} step {}: {} of chunks {}+{} from {} to {} on channel {}",
                     timed.phase, timed.step, send.action == Action::copy ? "copy" : "reduce",
                     send.chunks.first, send.chunks.count, send.source, send.target, send.channel);
}

// Ranks and switches.
int end_count(const Schedule& schedule) { return schedule.ranks + switch_count(schedule); }

std::string malformed(const Schedule& schedule, const TimedSend& timed) {
  const Send& send = timed.send;
  const auto is_end = [&](int end) { return end >= 0 && end < end_count(schedule); };
  const bool ends = is_end(send.source) && is_end(send.target) && send.source != send.target;
  const bool chunks = send.chunks.first >= 0 && send.chunks.count > 0 &&
                      send.chunks.first + send.chunks.count <= chunk_count(schedule);
  const bool channel = send.channel >= 0 && send.channel < channel_count(schedule);
  if (ends && chunks && channel) return {};
  return text_of(timed) + ": names a rank, chunk or channel that does not exist";
}

// One chunk at one rank: whose contributions it holds, and which sends wrote it. Who reads it need
// not be known: a write waits for the reads of its own step and of earlier ones.
struct Cell {
  Set held;
  std::vector<std::size_t> writes;
};

class Proof {
 public:
  Proof(const Schedule& schedule, const std::vector<TimedSend>& sends)
      : schedule_(schedule), sends_(sends), order_(sends.size()) {
    chunks_ = chunk_count(schedule);
    cells_.assign(static_cast<std::size_t>(end_count(schedule) * chunks_),
                  Cell{contributions({}), {}});
    place_initial_data();
  }

  std::string run();

 private:
  Set contributions(std::initializer_list<int> ranks) const;
  Cell& cell(int rank, std::int64_t chunk) {
    return cells_[static_cast<std::size_t>(rank * chunks_ + chunk)];
  }
  template <class Visit>
  std::string for_chunks(const Send& send, int rank, Visit visit);
  void hold(int rank, ChunkRange range, int contributor);
  void place_initial_data();
  void order_send(std::size_t index);
  std::string run_step(std::size_t first, std::size_t last);
  std::string read(std::size_t index, std::vector<Set>& values);
  std::string write(std::size_t index, const std::vector<Set>& values);
  std::string race(std::size_t index, const Cell& cell) const;
  std::string wrong_result();
  std::optional<Set> promised(int rank, std::int64_t chunk, int owner) const;
  Set everyone() const;

  const Schedule& schedule_;
  const std::vector<TimedSend>& sends_;
  Order order_;
  std::int64_t chunks_ = 0;
  std::vector<Cell> cells_;                                           // rank by rank
  std::map<std::tuple<int, int, int>, std::size_t> last_on_channel_;  // source, channel, port
};

Set Proof::contributions(std::initializer_list<int> ranks) const {
  Set set(static_cast<std::size_t>(schedule_.ranks));
  for (const int rank : ranks) set.insert(static_cast<std::size_t>(rank));
  return set;
}

Set Proof::everyone() const {
  Set set(static_cast<std::size_t>(schedule_.ranks));
  for (int rank = 0; rank < schedule_.ranks; ++rank) set.insert(static_cast<std::size_t>(rank));
  return set;
}

template <class Visit>
std::string Proof::for_chunks(const Send& send, int rank, Visit visit) {
  for (std::int64_t i = 0; i < send.chunks.count; ++i) {
    std::string problem = visit(cell(rank, send.chunks.first + i), static_cast<std::size_t>(i));
    if (!problem.empty()) return problem;
  }
  return {};
}

void Proof::hold(int rank, ChunkRange range, int contributor) {
  for (std::int64_t chunk = range.first; chunk < range.first + range.count; ++chunk)
    cell(rank, chunk).held = contributions({contributor});
}

void Proof::place_initial_data() {
  const ChunkRange all{0, chunks_};
  switch (schedule_.operation) {
    case Operation::all_reduce:
    case Operation::reduce_scatter:
    case Operation::reduce:
      for (int rank = 0; rank < schedule_.ranks; ++rank) hold(rank, all, rank);
      return;
    case Operation::all_gather:
      for (int rank = 0; rank < schedule_.ranks; ++rank)
        hold(rank, own_part(schedule_, rank), rank);
      return;
    case Operation::all_to_all:
      for (int rank = 0; rank < schedule_.ranks; ++rank)
        hold(rank, {std::int64_t{rank} * schedule_.ranks, schedule_.ranks}, rank);
      return;
    case Operation::broadcast:
      return hold(schedule_.root, all, schedule_.root);
    case Operation::send:
      return hold(0, all, 0);
  }
}

// A receive of the same step is no earlier receive: the rule does not wait for it. Of a multicast
// each copy follows those that left a switch by the same port before.
void Proof::order_send(std::size_t index) {
  const Send& send = sends_[index].send;
  for_chunks(send, send.source, [&](Cell& cell, std::size_t) {
    for (const std::size_t earlier : cell.writes) order_.after_completion_of(earlier, index);
    return std::string();
  });
  const int port = send.source < schedule_.ranks ? -1 : send.target;
  const auto [place, first] =
      last_on_channel_.try_emplace({send.source, send.channel, port}, index);
  if (!first) order_.after_departure_of(std::exchange(place->second, index), index);
}

std::string Proof::read(std::size_t index, std::vector<Set>& values) {
  const Send& send = sends_[index].send;
  return for_chunks(send, send.source, [&](Cell& cell, std::size_t) {
    values.push_back(cell.held);
    return cell.held.empty() ? text_of(sends_[index]) + ": the source does not have it yet"
                             : std::string();
  });
}

// `cell` is about to be written by send `index`. Reductions commute; all else must be ordered.
std::string Proof::race(std::size_t index, const Cell& cell) const {
  const auto reduces = [&](std::size_t i) { return sends_[i].send.action == Action::reduce; };
  for (const std::size_t writer : cell.writes)
    if (!order_.is_complete(writer, index) && !(reduces(writer) && reduces(index)))
      return fmt::format("{}: is not ordered with {}", text_of(sends_[index]),
                         text_of(sends_[writer]));
  return {};
}

std::string Proof::write(std::size_t index, const std::vector<Set>& values) {
  const Send& send = sends_[index].send;
  return for_chunks(send, send.target, [&](Cell& cell, std::size_t i) {
    if (std::string problem = race(index, cell); !problem.empty()) return problem;
    cell.writes.push_back(index);
    if (send.action == Action::copy) {
      cell.held = values[i];
      return std::string();
    }
    if (cell.held.meets(values[i]))
      return text_of(sends_[index]) + ": adds a contribution that is already in";
    cell.held.unite(values[i]);
    return std::string();
  });
}

// Sends of one step read before any of them writes, as the rule says; the race check makes sure
// that no other order of the writes could give another result.
std::string Proof::run_step(std::size_t first, std::size_t last) {
  std::vector<std::vector<Set>> values(last - first);
  for (std::size_t i = first; i < last; ++i) order_send(i);
  for (std::size_t i = first; i < last; ++i)
    if (std::string problem = read(i, values[i - first]); !problem.empty()) return problem;
  for (std::size_t i = first; i < last; ++i)
    if (std::string problem = write(i, values[i - first]); !problem.empty()) return problem;
  return {};
}

// What the operation's contract says about a chunk at its end; nothing where it does not care.
std::optional<Set> Proof::promised(int rank, std::int64_t chunk, int owner) const {
  switch (schedule_.operation) {
    case Operation::all_reduce:
      return everyone();
    case Operation::reduce_scatter:
      return owner == rank ? std::optional(everyone()) : std::nullopt;
    case Operation::all_gather:
      return contributions({owner});
    case Operation::broadcast:
      return contributions({schedule_.root});
    case Operation::reduce:
      if (rank != schedule_.root) return std::nullopt;
      return everyone();
    case Operation::all_to_all:
      if (chunk % schedule_.ranks != rank) return std::nullopt;
      return contributions({static_cast<int>(chunk / schedule_.ranks)});
    case Operation::send:
      if (rank != schedule_.ranks - 1) return std::nullopt;
      return contributions({0});
  }
  return std::nullopt;
}

std::string Proof::wrong_result() {
  std::vector<int> owner(static_cast<std::size_t>(chunks_), 0);
  for (int rank = 0; rank < schedule_.ranks; ++rank) {
    const ChunkRange part = own_part(schedule_, rank);
    std::fill_n(owner.begin() + part.first, part.count, rank);
  }
  for (int rank = 0; rank < schedule_.ranks; ++rank)
    for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
      const auto expected = promised(rank, chunk, owner[static_cast<std::size_t>(chunk)]);
      if (expected && cell(rank, chunk).held != *expected)
        return fmt::format("rank {} ends without the right contributions in chunk {}", rank, chunk);
    }
  return {};
}

std::string Proof::run() {
  for (const TimedSend& timed : sends_)
    if (std::string problem = malformed(schedule_, timed); !problem.empty()) return problem;
  const auto moment = [&](std::size_t i) { return std::pair(sends_[i].phase, sends_[i].step); };
  for (std::size_t first = 0; first < sends_.size();) {
    std::size_t last = first;
    while (last < sends_.size() && moment(last) == moment(first)) ++last;
    if (std::string problem = run_step(first, last); !problem.empty()) return problem;
    first = last;
  }
  return wrong_result();
}

// Visits every (phase, step) of a schedule.
template <class Visit>
void for_steps(const Schedule& schedule, Visit visit) {
  const std::vector<Phase> phases = phases_of(schedule);
  for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase)
    for (std::int64_t step = 0; step < phases[phase].steps; ++step) visit(phase, step);
}

}  // namespace

std::vector<TimedSend> all_sends(const Schedule& schedule) {
  std::vector<TimedSend> sends;
  for_steps(schedule, [&](int phase, std::int64_t step) {
    for (int end = 0; end < end_count(schedule); ++end)
      for (const Send& send : sends_from(schedule, end, phase, step))
        sends.push_back({send, phase, step});
  });
  return sends;
}

std::string violation_of(const Schedule& schedule, const std::vector<TimedSend>& sends) {
  return Proof(schedule, sends).run();
}

std::string disagreement_of(const Schedule& schedule) {
  const auto key = [](const Send& send) {
    return std::tuple(send.source, send.target, send.chunks.first, send.chunks.count, send.action,
                      send.channel);
  };
  std::string problem;
  for_steps(schedule, [&](int phase, std::int64_t step) {
    std::vector<Send> sent, received;
    for (int end = 0; end < end_count(schedule); ++end) {
      for (const Send& send : sends_from(schedule, end, phase, step))
        (send.source == end ? sent : received).push_back(send);
      for (const Send& send : sends_to(schedule, end, phase, step))
        (send.target == end ? received : sent).push_back(send);
    }
    std::ranges::sort(sent, {}, key);
    std::ranges::sort(received, {}, key);
    if (sent != received && problem.empty())
      problem = fmt::format("phase {} step {}: what is sent is not what is received", phase, step);
  });
  return problem;
}

std::string tiling_violation_of(const Schedule& schedule) {
  const bool parts = schedule.operation == Operation::reduce_scatter ||
                     schedule.operation == Operation::all_gather;
  if (!parts) return {};
  std::vector<int> owners(static_cast<std::size_t>(chunk_count(schedule)), 0);
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    const ChunkRange part = own_part(schedule, rank);
    for (std::int64_t i = 0; i < part.count; ++i)
      ++owners.at(static_cast<std::size_t>(part.first + i));
  }
  const auto wrong = std::ranges::find_if(owners, [](int count) { return count != 1; });
  if (wrong == owners.end()) return {};
  return fmt::format("chunk {} is the own part of {} ranks", wrong - owners.begin(), *wrong);
}

std::string violation_of(const Schedule& schedule) {
  if (std::string reason = why_not(schedule); !reason.empty()) return reason;
  if (std::string problem = tiling_violation_of(schedule); !problem.empty()) return problem;
  if (std::string problem = disagreement_of(schedule); !problem.empty()) return problem;
  return violation_of(schedule, all_sends(schedule));
}

}  // namespace railwright::collectives
