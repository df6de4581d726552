// A collective in shared memory, as pieces of work: each rank takes what it needs straight from the
// buffers of its peers, and adds only what nobody else adds.
#pragma once

#include <cstdint>
#include <utility>

#include "collectives/schedule.hpp"

namespace railwright::worker {

inline constexpr int everyone = -1;

// `size` bytes at `offset` of all buffers: the sum of everyone's or a copy of one rank's, into one
// rank's buffer or everyone's. Ranks are those of the group.
struct Piece {
  int source = everyone, target = everyone;
  std::uint64_t offset = 0, size = 0;
};

// Bytes of the buffer.
struct Part {
  std::uint64_t offset = 0, size = 0;
};

class PieceMaker {
 public:
  // `size` of the vector, in whole elements of `element` bytes.
  PieceMaker(const collectives::Schedule& schedule, int index, Bytes size, std::uint64_t element)
      : schedule_(schedule), index_(index), size_(size), element_(element) {}

  Part input() const;  // what this rank comes with; empty where it only receives
  // What this rank has to do. `alone`: everybody makes its own result, from inputs that stay as
  // they are; else sums are shared out and written to everybody who wants them.
  template <class Visit>
  void visit(bool alone, Visit visit) const;
  // The parts of this rank's buffer that are written, by whomever.
  template <class Visit>
  void visit_results(Visit visit) const;

 private:
  Part chunks(collectives::ChunkRange range) const {
    return {collectives::offset_of(schedule_, range.first, size_, element_),
            collectives::bytes_of(schedule_, range, size_, element_).count};
  }
  // Of equal parts for each rank, whole cache lines but for the last.
  Part slice() const;
  int ranks() const { return schedule_.ranks; }

  const collectives::Schedule& schedule_;
  int index_;
  Bytes size_;
  std::uint64_t element_;
};

template <class Visit>
void PieceMaker::visit(bool alone, Visit visit) const {
  using collectives::Operation;
  const auto piece = [&](int source, int target, Part part) {
    if (part.size > 0) visit(Piece{source, target, part.offset, part.size});
  };
  const Part all = {0, size_.count};
  switch (schedule_.operation) {
    case Operation::all_reduce:
      return piece(everyone, alone ? index_ : everyone, alone ? all : slice());
    case Operation::reduce:
      if (!alone || index_ == schedule_.root)
        piece(everyone, schedule_.root, alone ? all : slice());
      return;
    case Operation::reduce_scatter:
      return piece(everyone, index_, chunks(collectives::own_part(schedule_, index_)));
    case Operation::all_gather:
      for (int i = 1; i < ranks(); ++i) {
        const int peer = (index_ + i) % ranks();
        piece(peer, index_, chunks(collectives::own_part(schedule_, peer)));
      }
      return;
    case Operation::broadcast:
      if (index_ != schedule_.root) piece(schedule_.root, index_, all);
      return;
    case Operation::send:
      if (index_ != 0 && index_ == ranks() - 1) piece(0, index_, all);
      return;
    case Operation::all_to_all:
      for (int i = 1; i < ranks(); ++i) {
        const int peer = (index_ + i) % ranks();
        piece(peer, index_, chunks({std::int64_t{peer} * ranks() + index_, 1}));
      }
      return;
  }
}

template <class Visit>
void PieceMaker::visit_results(Visit visit_part) const {
  using collectives::Operation;
  const bool all = schedule_.operation == Operation::all_reduce ||
                   (schedule_.operation == Operation::reduce && index_ == schedule_.root);
  if (all) return visit_part(Part{0, size_.count});
  visit(false, [&](const Piece& piece) {
    if (piece.target == index_) visit_part(Part{piece.offset, piece.size});
  });
}

}  // namespace railwright::worker
