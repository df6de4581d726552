#include "worker/train/exchange.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <future>

#include "worker/mpi_transport.hpp"

namespace railwright::worker::train {

using collectives::Algorithm;
using collectives::Schedule;
using workload::Operation;

namespace {

bool parts_in_order(const Schedule& schedule, Bytes size) {
  if (schedule.operation != Operation::reduce_scatter &&
      schedule.operation != Operation::all_gather)
    return true;
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    const auto first = collectives::own_part(schedule, rank).first;
    const std::uint64_t part = size.count / static_cast<std::uint64_t>(schedule.ranks);
    if (collectives::offset_of(schedule, first, size, sizeof(float)) !=
        part * static_cast<std::uint64_t>(rank))
      return false;
  }
  return true;
}

Group group_along(const emulator::Plan& plan, Dimension dimension, int rank) {
  Group group;
  group.dimension = dimension;
  for (const std::int64_t member :
       workload::group_of(dimension, rank, plan.degrees, plan.placement.order)) {
    if (member == rank) group.index = static_cast<int>(group.ranks.size());
    group.ranks.push_back(static_cast<int>(member));
  }
  return group;
}

}  // namespace

Schedule training_schedule(const emulator::Plan& plan, Dimension group, Operation operation,
                           Bytes size, bool opaque) {
  const Schedule planned = emulator::schedule_of(plan, group, operation, size);
  const int ranks = workload::degree_of(plan.degrees, group);
  if (opaque) return opaque_schedule(planned);
  const bool serves = planned.ranks == ranks && collectives::why_not(planned).empty() &&
                      why_p2p_cannot(planned).empty() && parts_in_order(planned, size);
  return serves ? planned : Schedule{operation, Algorithm::ring, ranks};
}

Exchange::Exchange(const emulator::Plan& plan, Transport& transport, Backend& backend,
                   Seconds timeout)
    : plan_(plan),
      transport_(transport),
      backend_(backend),
      timeout_(timeout),
      tensor_(group_along(plan, Dimension::tp, transport.rank())),
      data_(group_along(plan, Dimension::dp, transport.rank())) {
  for (int rank = 0; rank < transport.size(); ++rank) everybody_.ranks.push_back(rank);
  everybody_.index = transport.rank();
  everybody_.dimension = Dimension{workload::dimension_count};  // tags of no plan's group
}

void Exchange::prepare() {
  std::vector<Prospect> prospects;
  for (const Group& group : {tensor_, data_})
    if (group.ranks.size() > 1) prospects.push_back({group, 1});
  require(backend_.prepare(prospects, deadline()));
}

const Group& Exchange::group(Dimension dimension) const {
  assert(dimension == Dimension::tp || dimension == Dimension::dp);
  return dimension == Dimension::tp ? tensor_ : data_;
}

std::span<float> Exchange::own_part(Dimension dimension, std::span<float> values) const {
  const Group& members = group(dimension);
  assert(values.size() % members.ranks.size() == 0);
  const std::size_t part = values.size() / members.ranks.size();
  return values.subspan(part * static_cast<std::size_t>(members.index), part);
}

Transport::Deadline Exchange::deadline() const {
  return Transport::Deadline::clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(timeout_.value));
}

void Exchange::require(const WaitResult& result) const {
  if (result.state == WaitState::done) return;
  if (when_lost_) when_lost_(PeerLost{result});
  throw PeerLost{result};
}

// `vector` elements are what the schedule calls its size: all of `values`, but for all-to-all a
// row.
void Exchange::run(Dimension dimension, Operation operation, std::span<float> values,
                   std::size_t vector) {
  const Group& members = group(dimension);
  if (members.ranks.size() == 1 || values.empty()) return;
  const Schedule schedule =
      training_schedule(plan_, dimension, operation, {vector * sizeof(float)}, backend_.opaque());
  const auto start = std::chrono::steady_clock::now();
  const WaitResult met = arrive(transport_, members, deadline());
  waited_ +=
      Seconds{std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
  require(met);
  const Execution done =
      backend_.execute(schedule, members, std::as_writable_bytes(values), reducer_, deadline());
  spent_ += done.time;
  require({done.state, done.peer});
}

void Exchange::all_reduce(Dimension dimension, std::span<float> values) {
  run(dimension, Operation::all_reduce, values, values.size());
}

void Exchange::reduce_scatter(Dimension dimension, std::span<float> values) {
  assert(values.size() % group(dimension).ranks.size() == 0);
  run(dimension, Operation::reduce_scatter, values, values.size());
}

void Exchange::all_gather(Dimension dimension, std::span<float> values) {
  assert(values.size() % group(dimension).ranks.size() == 0);
  run(dimension, Operation::all_gather, values, values.size());
}

void Exchange::reduce_scatter_in_order(Dimension dimension, std::span<float> values) {
  const Group& members = group(dimension);
  const std::size_t ranks = members.ranks.size();
  if (ranks == 1) return;
  rows_.resize(ranks * values.size());
  std::ranges::copy(values,
                    rows_.begin() + static_cast<std::ptrdiff_t>(values.size() * members.index));
  run(dimension, Operation::all_to_all, rows_, values.size());
  const std::span<float> sum = own_part(dimension, values);
  const std::size_t first = static_cast<std::size_t>(sum.data() - values.data());
  for (std::size_t source = 0; source < ranks; ++source) {
    const float* from = rows_.data() + source * values.size() + first;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = source == 0 ? from[i] : sum[i] + from[i];
  }
}

void Exchange::send(int peer, int tag, Matrix message) {
  Sending& sending = sendings_.emplace_back();
  sending.message = std::move(message);
  const std::span<const float> values(sending.message.data(),
                                      static_cast<std::size_t>(sending.message.size()));
  sending.requests = {transport_.post_send(peer, tag, std::as_bytes(values))};
}

void Exchange::receive(int peer, int tag, std::span<std::byte> message) {
  const Request request = transport_.post_receive(peer, tag, message);
  require(transport_.wait_for({&request, 1}, deadline()));
}

void Exchange::post(int peer, int tag, std::string bytes) {
  Sending& sending = sendings_.emplace_back();
  sending.bytes = std::move(bytes);
  sending.length = sending.bytes.size();
  sending.requests = {transport_.post_send(peer, tag, std::as_bytes(std::span(&sending.length, 1))),
                      transport_.post_send(peer, tag, std::as_bytes(std::span(sending.bytes)))};
}

std::string Exchange::take(int peer, int tag) {
  std::uint64_t length = 0;
  receive(peer, tag, std::as_writable_bytes(std::span(&length, 1)));
  std::string bytes(length, '\0');
  receive(peer, tag, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

void Exchange::finish_sends() {
  for (const Sending& sending : sendings_)
    for (const Request request : sending.requests) {
      const WaitResult result = transport_.wait(request, deadline());
      // What was let go may still be read: its memory stays.
      if (result.state == WaitState::timeout) transport_.cancel(request);
      require(result);
    }
  sendings_.clear();
}

void Exchange::agree_on_largest(double& value) {
  Seconds largest{value};
  require(agree_on_slowest(transport_, everybody_, deadline(), largest));
  value = largest.value;
}

void Exchange::settle(EdgeLog& edges, SharedClock& clock) {
  require(clock.compare(transport_, deadline()));
  require(edges.settle(transport_, clock, deadline()));
}

void Exchange::work_together(const std::function<void()>& work) {
  const std::chrono::duration<double> between(std::min(0.25, timeout_.value / 8));
  std::future<void> own = std::async(std::launch::async, work);
  for (double busy = 1; busy > 0;) {
    busy = own.wait_for(between) == std::future_status::ready ? 0 : 1;
    agree_on_largest(busy);
  }
  own.get();
}

}  // namespace railwright::worker::train
