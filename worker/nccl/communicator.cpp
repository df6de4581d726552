#include "worker/nccl/communicator.hpp"

#include <fmt/format.h>

#include "worker/backoff.hpp"

namespace railwright::worker::nccl {
namespace {

constexpr int id_tag = pipeline_tags + 64;
using Clock = Transport::Deadline::clock;

WaitResult tell(Transport& transport, const Group& group, int root, ncclUniqueId& id,
                Transport::Deadline deadline) {
  const auto bytes = std::as_writable_bytes(std::span(&id, 1));
  std::vector<Request> requests;
  const int from = group.ranks[static_cast<std::size_t>(root)];
  if (root != group.index) requests.push_back(transport.post_receive(from, id_tag, bytes));
  for (std::size_t i = 0; root == group.index && i < group.ranks.size(); ++i)
    if (static_cast<int>(i) != root)
      requests.push_back(transport.post_send(group.ranks[i], id_tag, bytes));
  return transport.wait_for(requests, deadline);
}

ncclConfig_t config_with(int most_ctas) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  if (most_ctas > 0) config.maxCTAs = most_ctas;
  return config;
}

}  // namespace

Communicator::~Communicator() {
  if (communicator_ == nullptr) return;
  // An orderly end; where others are gone it would wait for them.
  constexpr auto grace = std::chrono::seconds(2);
  const Outcome outcome = settle(library_.ncclCommFinalize(communicator_), Clock::now() + grace);
  if (outcome.state == WaitState::done)
    library_.ncclCommDestroy(communicator_);
  else
    library_.ncclCommAbort(communicator_);
}

Outcome Communicator::split_from(const Communicator& parent, const Group& group, int most_ctas,
                                 Transport::Deadline deadline) {
  ncclConfig_t config = config_with(most_ctas);
  const ncclResult_t result = library_.ncclCommSplit(parent.get(), group.ranks.front(), group.index,
                                                     &communicator_, &config);
  // The new one is there when the parent is through.
  const Outcome outcome = parent.settle(result, deadline);
  return outcome.state == WaitState::done ? settle(ncclInProgress, deadline) : outcome;
}

Outcome Communicator::join(Transport& transport, const Group& group, int most_ctas,
                           Transport::Deadline deadline) {
  const int ranks = static_cast<int>(group.ranks.size()), count = nccl_ids(ranks);
  std::vector<ncclUniqueId> ids(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const int root = static_cast<int>(std::int64_t{ranks} * i / count);
    ncclUniqueId& id = ids[static_cast<std::size_t>(i)];
    if (root == group.index && library_.ncclGetUniqueId(&id) != ncclSuccess)
      return {WaitState::failed, "ncclGetUniqueId failed"};
    const WaitResult told = tell(transport, group, root, id, deadline);
    if (told.state != WaitState::done) return {told.state, "the unique id did not arrive"};
  }
  ncclConfig_t config = config_with(most_ctas);
  const ncclResult_t result =
      count == 1
          ? library_.ncclCommInitRankConfig(&communicator_, ranks, ids[0], group.index, &config)
          : library_.ncclCommInitRankScalable(&communicator_, ranks, group.index, count, ids.data(),
                                              &config);
  return settle(result, deadline);
}

Outcome Communicator::look() const {
  ncclResult_t now = ncclSuccess;
  const ncclResult_t asked = library_.ncclCommGetAsyncError(communicator_, &now);
  if (asked == ncclSuccess && now == ncclSuccess) return {};
  if (asked == ncclSuccess && now == ncclInProgress) return {WaitState::pending, {}};
  const ncclResult_t error = asked != ncclSuccess ? asked : now;
  return {WaitState::failed, fmt::format("{} ({})", library_.ncclGetErrorString(error),
                                         library_.ncclGetLastError(communicator_))};
}

Outcome Communicator::settle(ncclResult_t result, Transport::Deadline deadline) const {
  if (result == ncclSuccess) return {};
  if (result != ncclInProgress)
    return {WaitState::failed,
            fmt::format("{} ({})", library_.ncclGetErrorString(result),
                        communicator_ ? library_.ncclGetLastError(communicator_) : "no detail")};
  Backoff backoff(200);
  for (;;) {
    const Outcome outcome = look();
    if (outcome.state != WaitState::pending) return outcome;
    if (backoff.pause() && Clock::now() >= deadline)
      return {WaitState::timeout, "it was still in progress at the deadline"};
  }
}

void Communicator::abort() {
  if (communicator_ != nullptr) library_.ncclCommAbort(communicator_);
  communicator_ = nullptr;
}

}  // namespace railwright::worker::nccl
