#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <climits>
#include <cstring>
#include <map>

#include "worker/mpi_transport.hpp"

namespace railwright::worker {
namespace {

using collectives::Operation;
using collectives::Schedule;

template <DataType type>
void add_elements(void* source, void* target, int* count, MPI_Datatype*) {
  const std::size_t bytes = static_cast<std::size_t>(*count) * size_of(type);
  Reducer(type, ReduceOp::sum)({static_cast<std::byte*>(target), bytes},
                               {static_cast<const std::byte*>(source), bytes});
}

// A type and its sum, as MPI wants them.
struct Arithmetic {
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Op sum = MPI_OP_NULL;
};

// Element counts and places of the ranks' parts in a vector.
struct Parts {
  std::vector<int> counts, places;
};

struct Call {
  const Schedule& schedule;
  const Group& group;
  std::span<std::byte> buffer;
  std::size_t element;
  Arithmetic arithmetic;
  MPI_Comm communicator;
  Bytes size() const { return vector_bytes(schedule, buffer.size()); }
};

int place_of(const Call& call, std::int64_t chunk) {
  return static_cast<int>(collectives::offset_of(call.schedule, chunk, call.size(), call.element) /
                          call.element);
}

Parts parts_of(const Call& call) {
  Parts parts;
  for (int rank = 0; rank < call.schedule.ranks; ++rank) {
    const collectives::ChunkRange own = collectives::own_part(call.schedule, rank);
    parts.places.push_back(place_of(call, own.first));
    parts.counts.push_back(place_of(call, own.first + own.count) - parts.places.back());
  }
  return parts;
}

int all_reduce(const Call& call) {
  constexpr std::size_t largest = std::size_t{1} << 30;  // MPI counts are ints
  const std::size_t count = call.buffer.size() / call.element;
  for (std::size_t at = 0; at < count; at += largest) {
    const int code = MPI_Allreduce(MPI_IN_PLACE, call.buffer.data() + at * call.element,
                                   static_cast<int>(std::min(largest, count - at)),
                                   call.arithmetic.type, call.arithmetic.sum, call.communicator);
    if (code != MPI_SUCCESS) return code;
  }
  return MPI_SUCCESS;
}

int reduce_scatter(const Call& call) {
  const Parts parts = parts_of(call);
  const std::size_t own = static_cast<std::size_t>(parts.counts[call.group.index]) * call.element;
  std::vector<std::byte> result(own);
  const int code = MPI_Reduce_scatter(call.buffer.data(), result.data(), parts.counts.data(),
                                      call.arithmetic.type, call.arithmetic.sum, call.communicator);
  if (own > 0)
    std::memcpy(call.buffer.data() +
                    static_cast<std::size_t>(parts.places[call.group.index]) * call.element,
                result.data(), own);
  return code;
}

int all_gather(const Call& call) {
  const Parts parts = parts_of(call);
  return MPI_Allgatherv(MPI_IN_PLACE, 0, call.arithmetic.type, call.buffer.data(),
                        parts.counts.data(), parts.places.data(), call.arithmetic.type,
                        call.communicator);
}

// What a rank keeps for itself is in its place already; sent and received parts do not overlap.
int all_to_all(const Call& call) {
  Parts row, column;
  const std::int64_t ranks = call.schedule.ranks, me = call.group.index;
  for (std::int64_t peer = 0; peer < ranks; ++peer) {
    for (auto [parts, chunk] : {std::pair(&row, me * ranks + peer), {&column, peer * ranks + me}}) {
      parts->places.push_back(place_of(call, chunk));
      const auto bytes =
          collectives::bytes_of(call.schedule, {chunk, 1}, call.size(), call.element);
      parts->counts.push_back(peer == me ? 0 : static_cast<int>(bytes.count / call.element));
    }
  }
  return MPI_Alltoallv(call.buffer.data(), row.counts.data(), row.places.data(),
                       call.arithmetic.type, call.buffer.data(), column.counts.data(),
                       column.places.data(), call.arithmetic.type, call.communicator);
}

int reduce(const Call& call) {
  const int count = static_cast<int>(call.buffer.size() / call.element);
  const bool root = call.group.index == call.schedule.root;
  return MPI_Reduce(root ? MPI_IN_PLACE : call.buffer.data(), root ? call.buffer.data() : nullptr,
                    count, call.arithmetic.type, call.arithmetic.sum, call.schedule.root,
                    call.communicator);
}

int send(const Call& call) {
  const int count = static_cast<int>(call.buffer.size() / call.element);
  const int last = call.schedule.ranks - 1;
  if (last == 0) return MPI_SUCCESS;
  if (call.group.index == 0)
    return MPI_Send(call.buffer.data(), count, call.arithmetic.type, last, 0, call.communicator);
  if (call.group.index != last) return MPI_SUCCESS;
  return MPI_Recv(call.buffer.data(), count, call.arithmetic.type, 0, 0, call.communicator,
                  MPI_STATUS_IGNORE);
}

int perform(const Call& call) {
  switch (call.schedule.operation) {
    case Operation::all_reduce:
      return all_reduce(call);
    case Operation::reduce_scatter:
      return reduce_scatter(call);
    case Operation::all_gather:
      return all_gather(call);
    case Operation::all_to_all:
      return all_to_all(call);
    case Operation::reduce:
      return reduce(call);
    case Operation::send:
      return send(call);
    case Operation::broadcast:
      break;
  }
  return MPI_Bcast(call.buffer.data(), static_cast<int>(call.buffer.size() / call.element),
                   call.arithmetic.type, call.schedule.root, call.communicator);
}

class MpiBackend : public Backend {
 public:
  explicit MpiBackend(MPI_Comm world) : world_(world) {
    add_type(DataType::float16, add_elements<DataType::float16>);
    add_type(DataType::bfloat16, add_elements<DataType::bfloat16>);
    arithmetic_[DataType::float32] = {MPI_FLOAT, MPI_SUM};
  }
  MpiBackend(const MpiBackend&) = delete;
  MpiBackend& operator=(const MpiBackend&) = delete;
  ~MpiBackend() override {
    for (auto& [ranks, communicator] : communicators_) MPI_Comm_free(&communicator);
    for (auto& [type, arithmetic] : arithmetic_) {
      if (type == DataType::float32) continue;
      MPI_Type_free(&arithmetic.type);
      MPI_Op_free(&arithmetic.sum);
    }
  }

  std::string name() const override { return "mpi"; }
  bool opaque() const override { return true; }
  Execution execute(const Schedule& schedule, const Group& group, std::span<std::byte> buffer,
                    const Reducer& reducer, Transport::Deadline) override {
    const DataType type = reducer.type();
    assert(why_mpi_cannot(schedule, vector_bytes(schedule, buffer.size()), type).empty());
    const Call call{schedule,           group, buffer, size_of(type), arithmetic_.at(type),
                    communicator(group)};
    const auto start = std::chrono::steady_clock::now();
    Execution execution;
    if (perform(call) != MPI_SUCCESS) execution.state = WaitState::failed;
    execution.time = {
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
    return execution;
  }

 private:
  void add_type(DataType type, MPI_User_function* sum) {
    Arithmetic& arithmetic = arithmetic_[type];
    MPI_Type_contiguous(static_cast<int>(size_of(type)), MPI_BYTE, &arithmetic.type);
    MPI_Type_commit(&arithmetic.type);
    MPI_Op_create(sum, 1, &arithmetic.sum);
  }

  // Made when the group first meets: only its members take part.
  MPI_Comm communicator(const Group& group) {
    const auto found = communicators_.find(group.ranks);
    if (found != communicators_.end()) return found->second;
    MPI_Group everybody, members;
    MPI_Comm_group(world_, &everybody);
    MPI_Group_incl(everybody, static_cast<int>(group.ranks.size()), group.ranks.data(), &members);
    MPI_Comm communicator;
    MPI_Comm_create_group(world_, members, static_cast<int>(group.dimension), &communicator);
    MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN);
    MPI_Group_free(&members);
    MPI_Group_free(&everybody);
    return communicators_[group.ranks] = communicator;
  }

  MPI_Comm world_;
  std::map<DataType, Arithmetic> arithmetic_;
  std::map<std::vector<int>, MPI_Comm> communicators_;
};

}  // namespace

std::unique_ptr<Backend> make_mpi_backend(MPI_Comm world) {
  return std::make_unique<MpiBackend>(world);
}

Schedule opaque_schedule(const Schedule& schedule) {
  Schedule result{schedule.operation, collectives::Algorithm::direct, schedule.ranks};
  if (schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce)
    result.root = schedule.root;
  return result;
}

std::string why_mpi_cannot(const Schedule& schedule, Bytes size, DataType type) {
  const std::uint64_t count = buffer_bytes(schedule, size).count / size_of(type);
  if (schedule.operation != Operation::all_reduce && count > INT_MAX)
    return fmt::format("{} of {} elements: MPI counts to {}", to_string(schedule.operation), count,
                       INT_MAX);
  if (schedule.operation == Operation::reduce_scatter)
    for (int rank = 1; rank < schedule.ranks; ++rank)
      if (collectives::own_part(schedule, rank).first <
          collectives::own_part(schedule, rank - 1).first)
        return fmt::format("{} leaves the parts of a reduce-scatter in another order than MPI",
                           to_string(schedule.algorithm));
  return {};
}

}  // namespace railwright::worker
