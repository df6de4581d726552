#include "worker/nccl/nccl_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <iostream>
#include <map>

#include "worker/backoff.hpp"
#include "worker/nccl/communicator.hpp"
#include "worker/nccl/kept_buffers.hpp"

namespace railwright::worker {
namespace nccl {
namespace {

using collectives::Operation;
using collectives::Schedule;
using Clock = Transport::Deadline::clock;

ncclDataType_t type_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return ncclFloat32;
    case DataType::float16:
      return ncclFloat16;
    case DataType::bfloat16:
      return ncclBfloat16;
  }
  return ncclFloat32;
}

class NcclBackend : public Backend {
 public:
  NcclBackend(Transport& transport, const Library& library)
      : transport_(transport), library_(library) {
    library_.cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
    library_.cudaEventCreate(&begin_);
    library_.cudaEventCreate(&end_);
  }
  ~NcclBackend() override {
    communicators_.clear();
    library_.cudaEventDestroy(begin_);
    library_.cudaEventDestroy(end_);
    library_.cudaStreamDestroy(stream_);
    if (device_ != nullptr) library_.cudaFree(device_);
  }
  NcclBackend(const NcclBackend&) = delete;
  NcclBackend& operator=(const NcclBackend&) = delete;

  std::string name() const override { return "nccl"; }
  bool opaque() const override { return true; }
  WaitResult prepare(std::span<const Prospect> prospects, Transport::Deadline deadline) override;
  Execution execute(const Schedule& schedule, const Group& group, std::span<std::byte> buffer,
                    const Reducer& reducer, Transport::Deadline deadline) override;
  void keep(std::span<std::byte> buffer) override { kept_.keep(buffer); }
  WaitResult send_there(std::span<const std::byte> written) override {
    return result_of(kept_.send_there(written, stream_, end_));
  }
  WaitResult fetch(std::span<std::byte> wanted) override {
    return result_of(kept_.fetch(wanted, stream_, end_));
  }

 private:
  struct Call {
    const Schedule& schedule;
    const Group& group;
    std::span<std::byte> buffer;
    DataType type;
    Communicator& communicator;
    Transport::Deadline deadline;
    std::size_t part = 0;        // elements of the longest part; 0: the vector is whole
    std::byte* from = nullptr;   // where the vector is, and is wanted again
    std::byte* works = nullptr;  // on the GPU, where NCCL works: at `from` or in a copy
  };
  Outcome communicator(const Schedule& schedule, const Group& group, Transport::Deadline deadline,
                       Communicator*& found);
  Outcome why_no_ids(int ranks) const;
  Outcome perform(Call& call, Execution& execution);
  Outcome wait_for(cudaEvent_t event, const Call& call) const;
  bool place(Call& call);
  WaitResult result_of(bool copied) const;
  ncclResult_t enqueue(const Call& call) const;
  ncclResult_t exchange_all(const Call& call) const;
  void copy(const Call& call, bool in) const;
  bool reserve(std::size_t bytes);
  Execution give_up(const Outcome& outcome, const Group& group);

  Transport& transport_;
  Library library_;
  std::map<std::vector<int>, std::unique_ptr<Communicator>> communicators_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  void* device_ = nullptr;
  std::size_t capacity_ = 0;
  KeptBuffers kept_{library_};
};

bool NcclBackend::reserve(std::size_t bytes) {
  if (bytes <= capacity_) return true;
  if (device_ != nullptr) library_.cudaFree(device_);
  device_ = nullptr;
  capacity_ = 0;
  if (library_.cudaMalloc(&device_, bytes) != cudaSuccess) return false;
  capacity_ = bytes;
  return true;
}

bool in_parts(Operation operation) {
  return operation == Operation::reduce_scatter || operation == Operation::all_gather;
}

// True when the parts of the vector lie where NCCL, which knows parts of equal length alone, wants
// them.
bool parts_fit(const Schedule& schedule, std::size_t part, Bytes size, std::uint64_t element) {
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    const auto range = collectives::own_part(schedule, rank);
    if (collectives::offset_of(schedule, range.first, size, element) !=
            static_cast<std::size_t>(rank) * part * element ||
        collectives::bytes_of(schedule, range, size, element).count != part * element)
      return false;
  }
  return true;
}

// Where the vector is and where it is worked on; false when the GPU has no room for the latter.
bool NcclBackend::place(Call& call) {
  const std::size_t element = size_of(call.type);
  std::byte* there = kept_.device_of(call.buffer);
  call.from = there != nullptr ? there : call.buffer.data();
  call.works = call.from;
  if (there != nullptr &&
      (call.part == 0 || parts_fit(call.schedule, call.part, Bytes{call.buffer.size()}, element)))
    return true;
  const std::size_t parts = call.part * element * static_cast<std::size_t>(call.schedule.ranks);
  if (!reserve(std::max<std::size_t>(1, std::max(call.buffer.size(), parts)))) return false;
  call.works = static_cast<std::byte*>(device_);
  return true;
}

// The whole vector, or part by part into places of equal length; nothing where it is in its place.
void NcclBackend::copy(const Call& call, bool in) const {
  if (call.works == call.from) return;
  const bool on_host = call.from == call.buffer.data();
  const auto kind = !on_host ? cudaMemcpyDeviceToDevice
                    : in     ? cudaMemcpyHostToDevice
                             : cudaMemcpyDeviceToHost;
  const auto move = [&](std::size_t from, std::size_t works, std::size_t bytes) {
    std::byte *outside = call.from + from, *inside = call.works + works;
    library_.cudaMemcpyAsync(in ? inside : outside, in ? outside : inside, bytes, kind, stream_);
  };
  if (call.part == 0) return move(0, 0, call.buffer.size());
  const std::uint64_t element = size_of(call.type);
  const Bytes size{call.buffer.size()};
  for (int rank = 0; rank < call.schedule.ranks; ++rank) {
    const auto range = collectives::own_part(call.schedule, rank);
    move(collectives::offset_of(call.schedule, range.first, size, element),
         static_cast<std::size_t>(rank) * call.part * element,
         collectives::bytes_of(call.schedule, range, size, element).count);
  }
}

WaitResult NcclBackend::result_of(bool copied) const {
  if (copied) return {WaitState::done, -1};
  std::cerr << fmt::format("nccl: rank {}: the GPU does not copy a buffer that it keeps\n",
                           transport_.rank())
            << std::flush;
  return {WaitState::failed, -1};
}

// Row s, column d: what s has for d. Own chunk stays.
ncclResult_t NcclBackend::exchange_all(const Call& call) const {
  const Library& l = library_;
  const Bytes size = vector_bytes(call.schedule, call.buffer.size());
  const std::uint64_t element = size_of(call.type);
  const std::int64_t ranks = call.schedule.ranks, me = call.group.index;
  const auto place = [&](std::int64_t chunk) {
    return call.works + collectives::offset_of(call.schedule, chunk, size, element);
  };
  const auto count = [&](std::int64_t chunk) {
    return collectives::bytes_of(call.schedule, {chunk, 1}, size, element).count / element;
  };
  l.ncclGroupStart();
  for (std::int64_t peer = 0; peer < ranks; ++peer) {
    if (peer == me) continue;
    const std::int64_t out = me * ranks + peer, in = peer * ranks + me;
    l.ncclSend(place(out), count(out), type_of(call.type), static_cast<int>(peer),
               call.communicator.get(), stream_);
    l.ncclRecv(place(in), count(in), type_of(call.type), static_cast<int>(peer),
               call.communicator.get(), stream_);
  }
  return l.ncclGroupEnd();
}

ncclResult_t NcclBackend::enqueue(const Call& call) const {
  const Library& l = library_;
  const ncclDataType_t type = type_of(call.type);
  const ncclComm_t comm = call.communicator.get();
  const std::size_t count = call.buffer.size() / size_of(call.type);
  std::byte* const device = call.works;
  std::byte* const own =
      device + call.part * static_cast<std::size_t>(call.group.index) * size_of(call.type);
  switch (call.schedule.operation) {
    case Operation::all_reduce:
      return l.ncclAllReduce(device, device, count, type, ncclSum, comm, stream_);
    case Operation::reduce_scatter:
      return l.ncclReduceScatter(device, own, call.part, type, ncclSum, comm, stream_);
    case Operation::all_gather:
      return l.ncclAllGather(own, device, call.part, type, comm, stream_);
    case Operation::broadcast:
      return l.ncclBroadcast(device, device, count, type, call.schedule.root, comm, stream_);
    case Operation::reduce:
      return l.ncclReduce(device, device, count, type, ncclSum, call.schedule.root, comm, stream_);
    case Operation::all_to_all:
      return exchange_all(call);
    case Operation::send:
      break;
  }
  const int last = call.schedule.ranks - 1;
  if (call.group.index == 0 && last > 0)
    return l.ncclSend(device, count, type, last, comm, stream_);
  if (call.group.index == last && last > 0)
    return l.ncclRecv(device, count, type, 0, comm, stream_);
  return ncclSuccess;
}

// Both the GPU and NCCL are asked: a collective that failed may never end.
Outcome NcclBackend::wait_for(cudaEvent_t event, const Call& call) const {
  Backoff backoff(200);
  for (;;) {
    const cudaError_t state = library_.cudaEventQuery(event);
    if (state == cudaSuccess) return {};
    if (state != cudaErrorNotReady) return {WaitState::failed, library_.cudaGetErrorString(state)};
    if (const Outcome outcome = call.communicator.look(); outcome.state == WaitState::failed)
      return outcome;
    if (backoff.pause() && Clock::now() >= call.deadline)
      return {WaitState::timeout, "the collective was still running at the deadline"};
  }
}

Outcome NcclBackend::perform(Call& call, Execution& execution) {
  if (!place(call))
    return {WaitState::failed, fmt::format("the GPU has no {} bytes left", call.buffer.size())};
  copy(call, true);
  library_.cudaEventRecord(begin_, stream_);
  Outcome outcome = call.communicator.settle(enqueue(call), call.deadline);
  if (outcome.state != WaitState::done) return outcome;
  library_.cudaEventRecord(end_, stream_);
  outcome = wait_for(end_, call);
  if (outcome.state != WaitState::done) return outcome;
  float milliseconds = 0;
  library_.cudaEventElapsedTime(&milliseconds, begin_, end_);
  execution.time = seconds(milliseconds * 1e-3);
  copy(call, false);
  library_.cudaEventRecord(end_, stream_);
  return wait_for(end_, call);
}

// Channels bound the CTAs; one says nothing.
int most_ctas(int channels) { return channels > 1 ? std::min(channels, 32) : 0; }

Group whole_world(const Transport& transport) {
  Group group;
  for (int rank = 0; rank < transport.size(); ++rank) group.ranks.push_back(rank);
  group.index = transport.rank();
  return group;
}

// The world meets once; then it splits for each dimension in turn, which takes as long again.
WaitResult NcclBackend::prepare(std::span<const Prospect> prospects, Transport::Deadline deadline) {
  const auto patience = deadline - Clock::now();
  if (library_.ncclCommSplit == nullptr || prospects.empty()) return {WaitState::done, -1};
  const Group everybody = whole_world(transport_);
  auto& world = communicators_[everybody.ranks];
  world = std::make_unique<Communicator>(library_);
  int widest = 0;
  for (const Prospect& prospect : prospects)
    if (prospect.group.ranks == everybody.ranks) widest = std::max(widest, prospect.channels);
  Outcome outcome = why_no_ids(transport_.size());
  if (outcome.state == WaitState::done)
    outcome = world->join(transport_, everybody, most_ctas(widest), deadline);
  for (const Prospect& prospect : prospects) {
    if (outcome.state != WaitState::done) break;
    if (prospect.group.ranks.size() == everybody.ranks.size()) continue;
    auto part = std::make_unique<Communicator>(library_);
    outcome = part->split_from(*world, prospect.group, most_ctas(prospect.channels),
                               Clock::now() + patience);
    // Two dimensions may have the same ranks, for all of these alike: the first stays.
    communicators_.try_emplace(prospect.group.ranks, std::move(part));
  }
  if (outcome.state == WaitState::done) return {WaitState::done, -1};
  const Execution execution = give_up(outcome, everybody);
  return {execution.state, execution.peer};
}

Outcome NcclBackend::why_no_ids(int ranks) const {
  if (nccl_ids(ranks) == 1 || library_.ncclCommInitRankScalable != nullptr) return {};
  return {WaitState::failed,
          fmt::format("{} ranks need ncclCommInitRankScalable (NCCL 2.23)", ranks)};
}

Outcome NcclBackend::communicator(const Schedule& schedule, const Group& group,
                                  Transport::Deadline deadline, Communicator*& found) {
  auto& place = communicators_[group.ranks];
  Outcome outcome;
  if (place == nullptr) {
    place = std::make_unique<Communicator>(library_);
    outcome = why_no_ids(static_cast<int>(group.ranks.size()));
    if (outcome.state == WaitState::done)
      outcome = place->join(transport_, group, most_ctas(schedule.channels), deadline);
  }
  found = place.get();
  return outcome;
}

// After a timeout all members end up here: whoever does not is whom the others waited for. An error
// that NCCL reports comes at one rank alone, and names nobody.
Execution NcclBackend::give_up(const Outcome& outcome, const Group& group) {
  std::cerr << fmt::format("nccl: rank {}: {}\n", transport_.rank(), outcome.why) << std::flush;
  for (auto& [ranks, one] : communicators_) one->abort();
  communicators_.clear();
  Execution execution;
  execution.state = outcome.state;
  if (outcome.state != WaitState::timeout) return execution;
  constexpr auto grace = std::chrono::seconds(1);
  const WaitResult there = arrive(transport_, group, Clock::now() + grace);
  if (there.state != WaitState::done) execution.peer = there.peer;
  return execution;
}

Execution NcclBackend::execute(const Schedule& schedule, const Group& group,
                               std::span<std::byte> buffer, const Reducer& reducer,
                               Transport::Deadline deadline) {
  assert(why_nccl_cannot(schedule).empty());
  if (buffer.empty()) return {};
  Communicator* joined = nullptr;
  Outcome outcome = communicator(schedule, group, deadline, joined);
  if (outcome.state != WaitState::done) return give_up(outcome, group);
  const std::size_t elements = buffer.size() / size_of(reducer.type());
  const std::size_t ranks = group.ranks.size();
  Call call{schedule, group, buffer, reducer.type(), *joined, deadline};
  if (in_parts(schedule.operation)) call.part = (elements + ranks - 1) / ranks;
  Execution execution;
  outcome = perform(call, execution);
  if (outcome.state != WaitState::done) return give_up(outcome, group);
  return execution;
}

}  // namespace
}  // namespace nccl

Result<std::unique_ptr<Backend>> make_nccl_backend(Transport& transport, const NcclPlace& place,
                                                   const NcclLibraries& libraries,
                                                   std::span<const collectives::Schedule> planned) {
  const Result<nccl::Library> library = nccl::load_library(libraries);
  if (!library) return tl::unexpected(library.error());
  int devices = 0;
  const cudaError_t asked = library->cudaGetDeviceCount(&devices);
  if (asked != cudaSuccess || devices == 0)
    return failure({},
                   fmt::format("backend nccl: no GPU is found: {}",
                               asked == cudaSuccess ? "CUDA counts 0 devices"
                                                    : library->cudaGetErrorString(asked)),
                   "look at nvidia-smi and CUDA_VISIBLE_DEVICES; without a GPU take --backend p2p");
  if (place.local_ranks > devices)
    return failure(
        {},
        fmt::format("backend nccl: {} ranks on this machine share {} GPU{}; NCCL refuses "
                    "two ranks on one",
                    place.local_ranks, devices, devices == 1 ? "" : "s"),
        fmt::format("start at most {} per machine", devices));
  if (const cudaError_t set = library->cudaSetDevice(place.local_rank); set != cudaSuccess)
    return failure({},
                   fmt::format("backend nccl: GPU {} cannot be used: {}", place.local_rank,
                               library->cudaGetErrorString(set)),
                   "look at nvidia-smi");
  // NCCL reads it when a communicator is made; what the user has set stands.
  const std::string hint = nccl_algorithms(planned, library->version);
  if (!hint.empty()) setenv("NCCL_ALGO", hint.c_str(), 0);
  return std::make_unique<nccl::NcclBackend>(transport, *library);
}

}  // namespace railwright::worker
