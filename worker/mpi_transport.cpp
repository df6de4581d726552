#include "worker/mpi_transport.hpp"

#include <algorithm>
#include <cassert>
#include <vector>

namespace railwright::worker {
namespace {

constexpr std::size_t largest_piece = std::size_t{1} << 30;

// One posted message. Most have one piece; slots and their vectors are reused.
struct Slot {
  std::vector<MPI_Request> pieces;
  int peer = -1;
  std::uint32_t generation = 0;
  bool open = false;
  bool failed = false;
};

class MpiTransport : public Transport {
 public:
  MpiTransport(MPI_Comm communicator, bool ranks_share_cores)
      : ranks_share_cores_(ranks_share_cores) {
    MPI_Comm_dup(communicator, &communicator_);
    MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(communicator_, &rank_);
    MPI_Comm_size(communicator_, &size_);
  }
  ~MpiTransport() override { MPI_Comm_free(&communicator_); }
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Buffer register_buffer(std::span<std::byte> bytes, MemoryKind memory) override {
    assert(memory == MemoryKind::host);
    return {bytes, memory};
  }
  void unregister_buffer(const Buffer&) override {}
  int spin_budget() const override { return ranks_share_cores_ ? 200 : 20000; }
  void progress() override {
    int come = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_, &come, MPI_STATUS_IGNORE);
  }

  Request post_send(int peer, int tag, std::span<const std::byte> bytes) override {
    return post(peer, bytes.size(), [&](std::size_t at, int count, MPI_Request* request) {
      return MPI_Isend(bytes.data() + at, count, MPI_BYTE, peer, tag, communicator_, request);
    });
  }
  Request post_receive(int peer, int tag, std::span<std::byte> bytes) override {
    return post(peer, bytes.size(), [&](std::size_t at, int count, MPI_Request* request) {
      return MPI_Irecv(bytes.data() + at, count, MPI_BYTE, peer, tag, communicator_, request);
    });
  }

  WaitResult test(Request request) override {
    Slot& slot = slot_of(request);
    int done = 0;
    if (slot.failed) return close(request, WaitState::failed);
    const int code = MPI_Testall(static_cast<int>(slot.pieces.size()), slot.pieces.data(), &done,
                                 MPI_STATUSES_IGNORE);
    if (code != MPI_SUCCESS) return close(request, WaitState::failed);
    return done ? close(request, WaitState::done) : WaitResult{WaitState::pending, slot.peer};
  }

  // A send that has begun cannot be cancelled in Open MPI: its request is let go, and the process
  // is about to give up anyway.
  void cancel(Request request) override {
    Slot& slot = slot_of(request);
    for (MPI_Request& piece : slot.pieces) {
      if (piece == MPI_REQUEST_NULL) continue;
      MPI_Cancel(&piece);
      MPI_Request_free(&piece);
    }
    close(request, WaitState::failed);
  }

 private:
  template <class PostPiece>
  Request post(int peer, std::size_t size, PostPiece post_piece) {
    const std::uint32_t index = open_slot();
    Slot& slot = slots_[index];
    slot.peer = peer;
    std::size_t at = 0;
    do {
      const std::size_t count = std::min(size - at, largest_piece);
      slot.pieces.push_back(MPI_REQUEST_NULL);
      slot.failed |= post_piece(at, static_cast<int>(count), &slot.pieces.back()) != MPI_SUCCESS;
      at += count;
    } while (at < size);
    return {(std::uint64_t{slot.generation} << 32) | index};
  }

  std::uint32_t open_slot() {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    slots_[index].open = true;
    return index;
  }

  Slot& slot_of(Request request) {
    Slot& slot = slots_[request.id & 0xffffffffu];
    assert(slot.open && slot.generation == request.id >> 32);
    return slot;
  }

  WaitResult close(Request request, WaitState state) {
    Slot& slot = slot_of(request);
    slot.open = slot.failed = false;
    slot.pieces.clear();
    ++slot.generation;
    free_.push_back(static_cast<std::uint32_t>(request.id & 0xffffffffu));
    return {state, slot.peer};
  }

  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  bool ranks_share_cores_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace

std::unique_ptr<Transport> make_mpi_transport(MPI_Comm communicator, bool ranks_share_cores) {
  return std::make_unique<MpiTransport>(communicator, ranks_share_cores);
}

}  // namespace railwright::worker
