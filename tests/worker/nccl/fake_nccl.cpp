// A double of NCCL for ranks that are threads of one process. Calls return at once; a collective
// happens when all ranks of its communicator have called it, in host memory.
#include "tests/worker/nccl/fake_nccl.hpp"

#include <nccl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "tests/worker/nccl/fake_cudart.hpp"
#include "worker/element.hpp"

namespace {

using railwright::worker::DataType;

std::mutex g_mutex;
FakeNccl g_fake;
std::uint64_t g_next_id = 1;

struct Operation {
  std::string kind;
  const void* from = nullptr;
  void* into = nullptr;
  size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  int peer = 0;  // root, source, target
  FakeStream* stream = nullptr;
};

struct Team {
  int ranks = 0, joined = 0;
  std::vector<std::deque<Operation>> collectives;
  std::map<std::pair<int, int>, std::deque<Operation>> sends, receives;  // (source, target)
};

std::map<std::string, std::shared_ptr<Team>> g_teams;  // by the bytes of their ids

struct Comm {
  std::shared_ptr<Team> team;
  std::string key;
  int rank = 0, polls = 0, collectives = 0, splits = 0;
  int open_splits = 0;  // that not all ranks have come to
  bool failed = false;
};
Comm* comm_of(ncclComm_t comm) { return reinterpret_cast<Comm*>(comm); }

thread_local int t_depth = 0;
thread_local bool t_grouped_in_progress = false;

size_t width(ncclDataType_t type) { return type == ncclFloat32 ? 4 : 2; }
DataType data_type(ncclDataType_t type) {
  if (type == ncclFloat32) return DataType::float32;
  return type == ncclFloat16 ? DataType::float16 : DataType::bfloat16;
}

// Element i of the sum over all ranks, in float.
std::vector<std::byte> sum_of(const std::vector<Operation>& all, size_t count) {
  const ncclDataType_t type = all[0].type;
  std::vector<std::byte> sum(count * width(type));
  for (size_t i = 0; i < count; ++i) {
    float total = 0;
    for (const Operation& one : all)
      total += railwright::worker::load(data_type(type),
                                        static_cast<const std::byte*>(one.from) + i * width(type));
    railwright::worker::store(data_type(type), sum.data() + i * width(type), total);
  }
  return sum;
}

void perform(const std::vector<Operation>& all) {
  const Operation& first = all[0];
  const size_t ranks = all.size(), bytes = first.count * width(first.type);
  if (first.kind == "all_reduce" || first.kind == "reduce") {
    const auto sum = sum_of(all, first.count);
    for (size_t rank = 0; rank < ranks; ++rank)
      if (first.kind == "all_reduce" || static_cast<int>(rank) == first.peer)
        std::memcpy(all[rank].into, sum.data(), bytes);
  } else if (first.kind == "reduce_scatter") {
    const auto sum = sum_of(all, first.count * ranks);
    for (size_t rank = 0; rank < ranks; ++rank)
      std::memcpy(all[rank].into, sum.data() + rank * bytes, bytes);
  } else if (first.kind == "all_gather") {
    std::vector<std::byte> whole(ranks * bytes);
    for (size_t rank = 0; rank < ranks; ++rank)
      std::memcpy(whole.data() + rank * bytes, all[rank].from, bytes);
    for (const Operation& one : all) std::memcpy(one.into, whole.data(), whole.size());
  } else {  // broadcast
    const std::vector<std::byte> root(
        static_cast<const std::byte*>(all[static_cast<size_t>(first.peer)].from),
        static_cast<const std::byte*>(all[static_cast<size_t>(first.peer)].from) + bytes);
    for (const Operation& one : all) std::memcpy(one.into, root.data(), bytes);
  }
  for (const Operation& one : all) --one.stream->pending;
}

void advance(Team& team) {
  while (std::ranges::none_of(team.collectives, [](const auto& queue) { return queue.empty(); })) {
    std::vector<Operation> all;
    for (auto& queue : team.collectives) {
      all.push_back(queue.front());
      queue.pop_front();
    }
    perform(all);
  }
}

ncclResult_t collective(ncclComm_t handle, Operation operation) {
  const std::lock_guard lock(g_mutex);
  Comm& comm = *comm_of(handle);
  g_fake.calls.push_back(operation.kind);
  ++operation.stream->pending;
  const int number = comm.collectives++;
  if (number == g_fake.fail_at && comm.rank == g_fake.fail_rank) comm.failed = true;
  const bool lost = g_fake.lose_at >= 0 && number >= g_fake.lose_at;
  if (comm.failed || lost) return ncclInProgress;
  comm.team->collectives[static_cast<size_t>(comm.rank)].push_back(std::move(operation));
  advance(*comm.team);
  return ncclInProgress;
}

void meet(Team& team, std::pair<int, int> way) {
  auto &sends = team.sends[way], &receives = team.receives[way];
  while (!sends.empty() && !receives.empty()) {
    const Operation send = sends.front(), receive = receives.front();
    sends.pop_front();
    receives.pop_front();
    std::memcpy(receive.into, send.from, send.count * width(send.type));
    --send.stream->pending;
    --receive.stream->pending;
  }
}

ncclResult_t message(ncclComm_t handle, Operation operation, bool sends) {
  const std::lock_guard lock(g_mutex);
  Comm& comm = *comm_of(handle);
  g_fake.calls.push_back(operation.kind);
  ++operation.stream->pending;
  const auto way =
      sends ? std::pair(comm.rank, operation.peer) : std::pair(operation.peer, comm.rank);
  (sends ? comm.team->sends : comm.team->receives)[way].push_back(std::move(operation));
  meet(*comm.team, way);
  if (t_depth > 0) t_grouped_in_progress = true;
  return ncclInProgress;
}

ncclResult_t join(ncclComm_t* handle, int ranks, std::string key, int rank, const ncclConfig_t* c) {
  const std::lock_guard lock(g_mutex);
  g_fake.calls.push_back("join blocking=" + std::to_string(c->blocking) +
                         " maxCTAs=" + std::to_string(c->maxCTAs));
  if (const char* algorithms = std::getenv("NCCL_ALGO"))
    g_fake.calls.push_back(std::string("NCCL_ALGO=") + algorithms);
  auto& team = g_teams[key];
  if (team == nullptr) team = std::make_shared<Team>();
  team->ranks = ranks;
  team->collectives.resize(static_cast<size_t>(ranks));
  ++team->joined;
  *handle = reinterpret_cast<ncclComm_t>(new Comm{team, std::move(key), rank});
  return ncclInProgress;
}

// What the ranks of a communicator have said in their how-manieth split of it.
struct Wish {
  Comm* parent;
  int color, key;
  ncclComm_t* handle;  // written when all have come, as by NCCL
};
std::map<std::string, std::vector<Wish>> g_splits;

void end_split(const std::string& split_key, const std::vector<Wish>& wishes) {
  for (const Wish& wish : wishes) {
    const std::string key = split_key + "/" + std::to_string(wish.color);
    auto& team = g_teams[key];
    if (team == nullptr) team = std::make_shared<Team>();
    team->ranks = static_cast<int>(
        std::ranges::count_if(wishes, [&](const Wish& one) { return one.color == wish.color; }));
    team->collectives.resize(static_cast<size_t>(team->ranks));
    ++team->joined;
    *wish.handle = reinterpret_cast<ncclComm_t>(new Comm{team, key, wish.key});
    --wish.parent->open_splits;
  }
}

ncclResult_t split(Comm& parent, int color, int key, ncclComm_t* handle, const ncclConfig_t* c) {
  const std::lock_guard lock(g_mutex);
  const int number = parent.splits++;
  g_fake.calls.push_back("rank " + std::to_string(parent.rank) + " split " +
                         std::to_string(number) + " color=" + std::to_string(color) +
                         " key=" + std::to_string(key) + " maxCTAs=" + std::to_string(c->maxCTAs));
  const std::string split_key = parent.key + "/" + std::to_string(number);
  auto& wishes = g_splits[split_key];
  wishes.push_back({&parent, color, key, handle});
  ++parent.open_splits;
  if (static_cast<int>(wishes.size()) == parent.team->ranks) end_split(split_key, wishes);
  return ncclInProgress;
}

FakeStream* stream_of(cudaStream_t stream) { return reinterpret_cast<FakeStream*>(stream); }

}  // namespace

extern "C" {

FakeNccl* fake_nccl() { return &g_fake; }

ncclResult_t ncclGetVersion(int* version) {
  *version = g_fake.version;
  return ncclSuccess;
}
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard lock(g_mutex);
  std::memset(id, 0, sizeof *id);
  std::memcpy(id, &g_next_id, sizeof g_next_id);
  ++g_next_id;
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  return join(comm, ranks, std::string(id.internal, sizeof id), rank, config);
}
ncclResult_t ncclCommInitRankScalable(ncclComm_t* comm, int ranks, int rank, int count,
                                      ncclUniqueId* ids, ncclConfig_t* config) {
  std::string key;
  for (int i = 0; i < count; ++i) key.append(ids[i].internal, sizeof *ids);
  return join(comm, ranks, key, rank, config);
}
ncclResult_t ncclCommSplit(ncclComm_t parent, int color, int key, ncclComm_t* comm,
                           ncclConfig_t* config) {
  return split(*comm_of(parent), color, key, comm, config);
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* error) {
  const std::lock_guard lock(g_mutex);
  Comm& comm = *comm_of(handle);
  const bool joining = comm.team->ranks == 0 || comm.team->joined < comm.team->ranks ||
                       comm.polls < g_fake.polls_in_progress || comm.open_splits > 0;
  ++comm.polls;
  *error = comm.failed ? ncclRemoteError : joining ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t handle) {
  const std::lock_guard lock(g_mutex);
  ++g_fake.aborted;
  delete comm_of(handle);
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  const std::lock_guard lock(g_mutex);
  ++g_fake.destroyed;
  delete comm_of(handle);
  return ncclSuccess;
}
const char* ncclGetLastError(ncclComm_t) { return "the double was told to"; }
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error"
                                   : "an error";
}
ncclResult_t ncclAllReduce(const void* from, void* into, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return collective(comm, {"all_reduce", from, into, count, type, 0, stream_of(stream)});
}
ncclResult_t ncclReduce(const void* from, void* into, size_t count, ncclDataType_t type,
                        ncclRedOp_t, int root, ncclComm_t comm, cudaStream_t stream) {
  return collective(comm, {"reduce", from, into, count, type, root, stream_of(stream)});
}
ncclResult_t ncclReduceScatter(const void* from, void* into, size_t count, ncclDataType_t type,
                               ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return collective(comm, {"reduce_scatter", from, into, count, type, 0, stream_of(stream)});
}
ncclResult_t ncclAllGather(const void* from, void* into, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return collective(comm, {"all_gather", from, into, count, type, 0, stream_of(stream)});
}
ncclResult_t ncclBroadcast(const void* from, void* into, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return collective(comm, {"broadcast", from, into, count, type, root, stream_of(stream)});
}
ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return message(comm, {"send", from, nullptr, count, type, peer, stream_of(stream)}, true);
}
ncclResult_t ncclRecv(void* into, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return message(comm, {"receive", nullptr, into, count, type, peer, stream_of(stream)}, false);
}
ncclResult_t ncclGroupStart() {
  ++t_depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  --t_depth;
  return std::exchange(t_grouped_in_progress, false) ? ncclInProgress : ncclSuccess;
}
}
