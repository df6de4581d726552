#include "worker/edges.hpp"

#include <algorithm>

namespace railwright::worker {

std::size_t EdgeLog::stream_of(std::vector<Stream>& streams, int peer, int tag) {
  const auto found = std::ranges::find_if(
      streams, [&](const Stream& stream) { return stream.peer == peer && stream.tag == tag; });
  if (found != streams.end()) return static_cast<std::size_t>(found - streams.begin());
  streams.push_back({peer, tag, {}});
  return streams.size() - 1;
}

void EdgeLog::sent(int peer, int tag, std::size_t bytes) {
  if (bytes < least_bytes) return;
  std::vector<Message>& messages = out_[stream_of(out_, peer, tag)].messages;
  if (messages.size() < most_messages) messages.push_back({in_ns(Clock::now()), 0, bytes});
}

EdgeLog::Ticket EdgeLog::expected(int peer, int tag, std::size_t bytes) {
  if (bytes < least_bytes) return {};
  const std::size_t stream = stream_of(in_, peer, tag);
  std::vector<Message>& messages = in_[stream].messages;
  if (messages.size() == most_messages) return {};
  messages.push_back({in_ns(Clock::now()), 0, bytes});
  return {stream, messages.size() - 1};
}

void EdgeLog::arrived(Ticket ticket) {
  if (ticket.stream != Ticket::untimed)
    in_[ticket.stream].messages[ticket.message].arrived = in_ns(Clock::now());
}

void EdgeLog::moved(int source, int target, std::size_t bytes, Instant begin, Instant end) {
  std::vector<Interval>& intervals = seen_[{source, target}];
  if (bytes >= least_bytes && intervals.size() < most_messages)
    intervals.push_back({in_ns(begin), in_ns(end), bytes});
}

EdgeLog::Moments EdgeLog::own_moments(const SharedClock& clock) const {
  Moments moments;
  for (const Stream& stream : out_) {
    std::vector<std::int64_t>& posted = moments.emplace_back();
    for (const Message& message : stream.messages) posted.push_back(clock.common(message.posted));
  }
  return moments;
}

// With the tags of the messages themselves, which are all through.
WaitResult EdgeLog::exchange(Transport& transport, Transport::Deadline deadline) {
  std::vector<Request> requests;
  for (std::size_t i = 0; i < in_.size(); ++i)
    if (!theirs_[i].empty())
      requests.push_back(transport.post_receive(in_[i].peer, in_[i].tag,
                                                std::as_writable_bytes(std::span(theirs_[i]))));
  for (std::size_t i = 0; i < out_.size(); ++i)
    if (!own_[i].empty())
      requests.push_back(
          transport.post_send(out_[i].peer, out_[i].tag, std::as_bytes(std::span(own_[i]))));
  return transport.wait_for(requests, deadline);
}

WaitResult EdgeLog::settle(Transport& transport, const SharedClock& clock,
                           Transport::Deadline deadline) {
  own_ = own_moments(clock);
  theirs_.clear();
  for (const Stream& stream : in_) theirs_.emplace_back(stream.messages.size());
  const WaitResult result = exchange(transport, deadline);
  if (result.state != WaitState::done) return result;
  for (std::size_t i = 0; i < in_.size(); ++i)
    for (std::size_t k = 0; k < theirs_[i].size(); ++k) {
      const Message& message = in_[i].messages[k];
      const std::int64_t begin = std::max(theirs_[i][k], clock.common(message.posted));
      const std::int64_t end = std::max(begin + 1, clock.common(message.arrived));
      seen_[{in_[i].peer, rank_}].push_back({begin, end, message.bytes});
    }
  for (Stream& stream : out_) stream.messages.clear();
  for (Stream& stream : in_) stream.messages.clear();
  add_up();
  return result;
}

void EdgeLog::add_up() {
  for (auto& [edge, intervals] : seen_) {
    std::ranges::sort(intervals, {}, &Interval::begin);
    EdgeTotal& total = totals_[edge];
    total.source = edge.first;
    total.target = edge.second;
    std::int64_t busy = 0, until = 0;
    for (const Interval& interval : intervals) {
      busy += std::max<std::int64_t>(0, interval.end - std::max(until, interval.begin));
      until = std::max(until, interval.end);
      total.bytes += Bytes{interval.bytes};
      ++total.messages;
    }
    total.busy += Seconds{static_cast<double>(busy) * 1e-9};
    intervals.clear();
  }
}

std::vector<EdgeTotal> EdgeLog::totals() const {
  std::vector<EdgeTotal> result;
  for (const auto& [edge, total] : totals_)
    if (total.messages > 0) result.push_back(total);
  return result;
}

}  // namespace railwright::worker
