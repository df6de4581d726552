#include "worker/shared_clock.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "worker/worker.hpp"

namespace railwright::worker {
namespace {

constexpr int question_tag = pipeline_tags + 128, answer_tag = question_tag + 1;
constexpr int distance_tag = question_tag + 2;
constexpr int round_trips = 8;

}  // namespace

std::int64_t SharedClock::steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

WaitResult SharedClock::send(Transport& transport, int peer, int tag, std::int64_t value,
                             Transport::Deadline deadline) {
  message_ = value;
  const Request request = transport.post_send(peer, tag, std::as_bytes(std::span(&message_, 1)));
  return transport.wait_for({&request, 1}, deadline);
}

WaitResult SharedClock::receive(Transport& transport, int peer, int tag, std::int64_t& value,
                                Transport::Deadline deadline) {
  const Request request =
      transport.post_receive(peer, tag, std::as_writable_bytes(std::span(&message_, 1)));
  const WaitResult result = transport.wait_for({&request, 1}, deadline);
  value = message_;
  return result;
}

// The answer was given halfway through the round trip, as nearly as can be known.
WaitResult SharedClock::ask(Transport& transport, std::int64_t& ahead,
                            Transport::Deadline deadline) {
  std::int64_t shortest = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < round_trips; ++i) {
    std::int64_t theirs = 0;
    const std::int64_t start = now_();
    WaitResult result = send(transport, 0, question_tag, 0, deadline);
    if (result.state == WaitState::done)
      result = receive(transport, 0, answer_tag, theirs, deadline);
    if (result.state != WaitState::done) return result;
    const std::int64_t trip = now_() - start;
    if (trip < shortest) ahead = theirs - (start + trip / 2);
    shortest = std::min(shortest, trip);
  }
  return {WaitState::done, -1};
}

WaitResult SharedClock::answer(Transport& transport, int peer, Transport::Deadline deadline) {
  for (int i = 0; i < round_trips; ++i) {
    std::int64_t nothing = 0;
    WaitResult result = receive(transport, peer, question_tag, nothing, deadline);
    if (result.state == WaitState::done)
      result = send(transport, peer, answer_tag, now_(), deadline);
    if (result.state != WaitState::done) return result;
  }
  return {WaitState::done, -1};
}

// From the first rank of a machine to its others.
WaitResult SharedClock::tell(Transport& transport, std::int64_t& ahead,
                             Transport::Deadline deadline) {
  const int rank = transport.rank(), first = first_of_[static_cast<std::size_t>(rank)];
  if (rank != first) return receive(transport, first, distance_tag, ahead, deadline);
  for (int peer = 0; peer < transport.size(); ++peer) {
    if (peer == rank || first_of_[static_cast<std::size_t>(peer)] != rank) continue;
    const WaitResult result = send(transport, peer, distance_tag, ahead, deadline);
    if (result.state != WaitState::done) return result;
  }
  return {WaitState::done, -1};
}

WaitResult SharedClock::compare(Transport& transport, Transport::Deadline deadline) {
  const auto at_home = [](int first) { return first == 0; };
  if (std::ranges::all_of(first_of_, at_home)) return {WaitState::done, -1};
  const int rank = transport.rank(), first = first_of_[static_cast<std::size_t>(rank)];
  WaitResult result{WaitState::done, -1};
  std::int64_t ahead = 0;
  for (int peer = 1; rank == 0 && peer < transport.size(); ++peer)
    if (first_of_[static_cast<std::size_t>(peer)] == peer && result.state == WaitState::done)
      result = answer(transport, peer, deadline);
  if (rank == first && rank != 0) result = ask(transport, ahead, deadline);
  if (result.state == WaitState::done && first != 0) result = tell(transport, ahead, deadline);
  if (result.state != WaitState::done) return result;
  before_ = compared_ ? latest_ : Point{now_(), ahead};
  latest_ = {now_(), ahead};
  compared_ = true;
  return result;
}

std::int64_t SharedClock::common(std::int64_t own) const {
  const std::int64_t span = latest_.moment - before_.moment;
  if (!compared_ || span <= 0 || own >= latest_.moment) return own + latest_.ahead;
  const double part =
      std::max(0.0, static_cast<double>(own - before_.moment) / static_cast<double>(span));
  const auto change = static_cast<double>(latest_.ahead - before_.ahead);
  return own + before_.ahead + static_cast<std::int64_t>(part * change);
}

}  // namespace railwright::worker
