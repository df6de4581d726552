#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <deque>

#include "worker/backoff.hpp"
#include "worker/edges.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {
namespace {

using collectives::Action;
using collectives::ChunkRange;
using collectives::Schedule;
using collectives::Send;
using Clock = std::chrono::steady_clock;

Seconds since(Clock::time_point start) {
  return {std::chrono::duration<double>(Clock::now() - start).count()};
}

// Receives that reduce land beside the buffer. The pieces are kept from call to call, so that only
// the first call pays for fresh pages.
class Staging {
 public:
  std::vector<std::byte> take(std::size_t size) {
    std::vector<std::byte> piece;
    if (!free_.empty()) {
      piece = std::move(free_.back());
      free_.pop_back();
    }
    piece.resize(std::max(piece.size(), size));
    return piece;
  }
  void give_back(std::vector<std::byte> piece) { free_.push_back(std::move(piece)); }

 private:
  std::vector<std::vector<std::byte>> free_;
};

enum class Stage : std::uint8_t {
  waiting,    // not posted yet
  in_flight,  // posted
  arrived,    // in staging, not reduced yet
  done,
};

struct Transfer {
  bool sends = false;
  ChunkRange chunks;
  Action action = Action::copy;
  int channel = 0;
  int peer = 0;  // rank of the world
  std::size_t offset = 0, size = 0;
  std::int64_t step = 0;  // counted over all phases
  Stage stage = Stage::waiting;
  Request request;
  EdgeLog::Ticket ticket;
  std::vector<std::byte> staging;
};

bool overlap(const Transfer& a, const Transfer& b) {
  return a.chunks.first < b.chunks.first + b.chunks.count &&
         b.chunks.first < a.chunks.first + a.chunks.count;
}

// Executes one rank's part of a schedule. Its transfers are kept in program order, the sends of a
// step before its receives (they read what was there before the step); each starts as soon as the
// earlier ones that touch its chunks allow. Steps are enumerated a few ahead of the oldest one that
// is not finished, which bounds memory and keeps receives posted ahead.
class Interpreter {
 public:
  Interpreter(Transport& transport, const Schedule& schedule, const Group& group,
              std::span<std::byte> buffer, const Reducer& reducer, Staging& staging, EdgeLog* edges)
      : transport_(transport),
        schedule_(schedule),
        group_(group),
        buffer_(buffer),
        reducer_(reducer),
        staging_(staging),
        edges_(edges),
        phases_(collectives::phases_of(schedule)),
        size_(vector_bytes(schedule, buffer.size())),
        by_rank_(schedule.algorithm == collectives::Algorithm::one_shot) {}

  Execution run(Transport::Deadline deadline);

 private:
  static constexpr std::int64_t steps_ahead = 4;

  bool refill();
  void enumerate_step();
  void add(const Send& send, bool sends);
  bool advance(std::size_t index);
  bool may_post(std::size_t index) const;
  bool may_apply(std::size_t index) const;
  void post(Transfer& transfer);
  bool test(Transfer& transfer);
  void apply(Transfer& transfer);
  bool all_are_here() const;
  void add_by_rank();
  bool pass();
  void abandon(WaitState state);
  bool finished() const { return active_.empty() && phase_ == phases_.size(); }
  std::span<std::byte> part(const Transfer& t) const { return buffer_.subspan(t.offset, t.size); }

  Transport& transport_;
  const Schedule& schedule_;
  const Group& group_;
  std::span<std::byte> buffer_;
  const Reducer& reducer_;
  Staging& staging_;
  EdgeLog* edges_;
  const std::vector<collectives::Phase> phases_;
  const Bytes size_;
  const bool by_rank_;  // everybody adds everybody's vector, all at once

  std::size_t phase_ = 0;  // next step to enumerate
  std::int64_t step_ = 0, steps_enumerated_ = 0;
  std::deque<Transfer> active_;
  bool changed_ = true;  // since the gates were looked at last
  Clock::time_point start_ = Clock::now();
  bool heard_ = false;
  Execution execution_;
};

void Interpreter::add(const Send& send, bool sends) {
  const std::uint64_t element = size_of(reducer_.type());
  Transfer transfer;
  transfer.sends = sends;
  transfer.chunks = send.chunks;
  transfer.action = send.action;
  transfer.channel = send.channel;
  transfer.peer = group_.ranks[sends ? send.target : send.source];
  transfer.offset = collectives::offset_of(schedule_, send.chunks.first, size_, element);
  transfer.size = collectives::bytes_of(schedule_, send.chunks, size_, element).count;
  transfer.step = steps_enumerated_;
  // Small vectors have empty chunks; both ends leave them out.
  if (transfer.size > 0) active_.push_back(std::move(transfer));
}

void Interpreter::enumerate_step() {
  const int phase = static_cast<int>(phase_);
  for (const Send& send : collectives::sends_from(schedule_, group_.index, phase, step_))
    add(send, true);
  for (const Send& send : collectives::sends_to(schedule_, group_.index, phase, step_))
    add(send, false);
  ++steps_enumerated_;
  if (++step_ == phases_[phase_].steps) {
    ++phase_;
    step_ = 0;
  }
}

bool Interpreter::refill() {
  const std::size_t before = active_.size();
  while (phase_ < phases_.size() &&
         (active_.empty() || steps_enumerated_ - active_.front().step < steps_ahead))
    enumerate_step();
  return active_.size() != before;
}

// Messages of a channel between two ranks are matched in order, so their receives must be posted
// in order; a copy lands in the buffer and must wait for whoever still reads or writes there.
bool Interpreter::may_post(std::size_t index) const {
  const Transfer& t = active_[index];
  for (std::size_t i = 0; i < index; ++i) {
    const Transfer& earlier = active_[i];
    if (earlier.stage == Stage::done) continue;
    if (t.sends) {
      if (earlier.sends ? earlier.channel == t.channel : overlap(earlier, t)) return false;
      continue;
    }
    const bool same_queue =
        !earlier.sends && earlier.peer == t.peer && earlier.channel == t.channel;
    if (same_queue && earlier.stage == Stage::waiting) return false;
    if (t.action == Action::copy && overlap(earlier, t)) return false;
  }
  return true;
}

// Reductions into a chunk happen in program order: the same bits in every run.
bool Interpreter::may_apply(std::size_t index) const {
  for (std::size_t i = 0; i < index; ++i)
    if (active_[i].stage != Stage::done && overlap(active_[i], active_[index])) return false;
  return true;
}

void Interpreter::post(Transfer& t) {
  const int tag = tag_range(group_.dimension) + t.channel;
  if (edges_ != nullptr && t.sends) edges_->sent(t.peer, tag, t.size);
  if (edges_ != nullptr && !t.sends) t.ticket = edges_->expected(t.peer, tag, t.size);
  if (t.sends) {
    t.request = transport_.post_send(t.peer, tag, part(t));
    execution_.sent += Bytes{t.size};
  } else if (t.action == Action::copy) {
    t.request = transport_.post_receive(t.peer, tag, part(t));
  } else {
    t.staging = staging_.take(t.size);
    t.request = transport_.post_receive(t.peer, tag, std::span(t.staging).first(t.size));
  }
  t.stage = Stage::in_flight;
}

bool Interpreter::test(Transfer& t) {
  const WaitResult result = transport_.test(t.request);
  if (result.state == WaitState::pending) return false;
  if (result.state != WaitState::done) {
    execution_.state = result.state;
    execution_.peer = t.peer;
  }
  t.stage = !t.sends && t.action == Action::reduce ? Stage::arrived : Stage::done;
  if (t.sends) return true;
  if (edges_ != nullptr && result.state == WaitState::done) edges_->arrived(t.ticket);
  execution_.received += Bytes{t.size};
  if (!heard_) execution_.wait = since(start_);
  heard_ = true;
  return true;
}

void Interpreter::apply(Transfer& t) {
  reducer_(part(t), std::span<const std::byte>(t.staging).first(t.size));
  staging_.give_back(std::move(t.staging));
  t.stage = Stage::done;
}

bool Interpreter::all_are_here() const {
  return !active_.empty() && std::ranges::all_of(active_, [](const Transfer& t) {
    return t.stage == Stage::done || t.stage == Stage::arrived;
  });
}

// Not in the order in which the schedule names the sources, which is another on every rank, but in
// that of the ranks: the same bits everywhere.
void Interpreter::add_by_rank() {
  std::vector<const std::byte*> sources(group_.ranks.size(), buffer_.data());
  for (const Transfer& t : active_)
    if (!t.sends)
      sources[std::ranges::find(group_.ranks, t.peer) - group_.ranks.begin()] = t.staging.data();
  std::byte* const target = buffer_.data();
  sum_into(reducer_.type(), sources, std::span(&target, 1), buffer_.size());
  for (Transfer& t : active_) {
    if (!t.sends) staging_.give_back(std::move(t.staging));
    t.stage = Stage::done;
  }
}

bool Interpreter::advance(std::size_t index) {
  Transfer& t = active_[index];
  switch (t.stage) {
    case Stage::waiting:
      if (!changed_ || !may_post(index)) return false;
      post(t);
      return true;
    case Stage::in_flight:
      return test(t);
    case Stage::arrived:
      if (by_rank_ || !changed_ || !may_apply(index)) return false;
      apply(t);
      return true;
    case Stage::done:
      return false;
  }
  return false;
}

bool Interpreter::pass() {
  bool progress = refill();
  changed_ |= progress;
  for (std::size_t i = 0; i < active_.size(); ++i) progress |= advance(i);
  if (by_rank_ && all_are_here()) add_by_rank();
  while (!active_.empty() && active_.front().stage == Stage::done) active_.pop_front();
  changed_ = progress;
  return progress;
}

// Names the oldest transfer that is under way: what it waits for is what is missing.
void Interpreter::abandon(WaitState state) {
  for (Transfer& t : active_) {
    if (t.stage != Stage::in_flight) continue;
    if (execution_.peer < 0) execution_.peer = t.peer;
    transport_.cancel(t.request);
    // What was let go may still arrive: its place must outlive this call.
    if (!t.staging.empty()) staging_.give_back(std::move(t.staging));
  }
  execution_.state = state;
}

Execution Interpreter::run(Transport::Deadline deadline) {
  Backoff backoff(transport_.spin_budget());
  while (!finished() && execution_.state == WaitState::done) {
    if (pass())
      backoff.reset();
    else if (backoff.pause() && Clock::now() >= deadline)
      execution_.state = WaitState::timeout;
  }
  if (execution_.state != WaitState::done) abandon(execution_.state);
  execution_.time = since(start_);
  return execution_;
}

class P2pBackend : public Backend {
 public:
  P2pBackend(Transport& transport, EdgeLog* edges) : transport_(transport), edges_(edges) {}
  std::string name() const override { return "p2p"; }
  bool opaque() const override { return false; }
  Execution execute(const Schedule& schedule, const Group& group, std::span<std::byte> buffer,
                    const Reducer& reducer, Transport::Deadline deadline) override {
    assert(schedule.ranks == static_cast<int>(group.ranks.size()));
    assert(collectives::why_not(schedule).empty());
    assert(why_p2p_cannot(schedule).empty());
    return Interpreter(transport_, schedule, group, buffer, reducer, staging_, edges_)
        .run(deadline);
  }

 private:
  Transport& transport_;
  EdgeLog* edges_;
  Staging staging_;
};

}  // namespace

std::string why_p2p_cannot(const Schedule& schedule) {
  if (collectives::switch_count(schedule) > 0)
    return fmt::format("{} reduces in switches, which the p2p backend does not have",
                       to_string(schedule.algorithm));
  const int channels = collectives::channel_count(schedule);
  if (channels <= tags_per_range) return {};
  return fmt::format("{} of {} ranks has {} channels, the p2p backend has tags for {}",
                     to_string(schedule.algorithm), schedule.ranks, channels, tags_per_range);
}

std::unique_ptr<Backend> make_p2p_backend(Transport& transport, EdgeLog* edges) {
  return std::make_unique<P2pBackend>(transport, edges);
}

}  // namespace railwright::worker
