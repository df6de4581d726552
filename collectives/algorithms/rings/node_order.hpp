// In which order a channel of a ring visits the ranks of several nodes.
//
// With g ranks in each of k nodes, channel c enters node j at one rank and leaves it at another,
// and enters the next node at the same local rank as it left the last one: it stays on its rail.
// Entrances and exits of the channels are spread over the ranks, so that with g channels (or one
// per NIC) every NIC carries one channel in and one out. In even nodes a channel goes from a to b,
// in odd ones from b to a; where k is odd, the last two nodes take a third rank in between, so that
// the ring closes on its rail too (NCCL alternates its rings between nodes for the same reason:
// NVIDIA/nccl src/graph/search.cc, NCCL_CROSS_NIC).
//
// Inside a node the order is the zigzag a, a+1, a-1, a+2 ...: its hops differ in length, and over
// all g channels no hop is used twice when g is even (Walecki's paths), so a full mesh of cables is
// used evenly. On a switch every order is as good.
#pragma once

#include "collectives/maker.hpp"

namespace railwright::collectives {

class NodeOrder {
 public:
  NodeOrder(const Schedule& schedule, int channel)
      : ranks_(schedule.ranks), inner_(schedule.inner), nodes_(schedule.ranks / schedule.inner) {
    // Beyond one node and for single ranks per node, places are ranks.
    plain_ = inner_ == 1 || nodes_ == 1;
    first_ = plain_ ? 0 : start_of(channel, schedule.channels);
  }

  bool is_plain() const { return plain_; }
  // Place on the ring of a rank, and back.
  int place_of(int rank) const {
    if (plain_) return rank;
    const int node = rank / inner_, local = rank % inner_;
    const int in = entrance(node), out = departure(node);
    if (local == out) return node * inner_ + inner_ - 1;
    const int index = zigzag_index(modulo(local - in, inner_));
    const int skipped = zigzag_index(modulo(out - in, inner_));
    return node * inner_ + index - (index > skipped ? 1 : 0);
  }
  int rank_at(int place) const {
    if (plain_) return place;
    const int node = place / inner_, index = place % inner_;
    const int in = entrance(node), out = departure(node);
    if (index == inner_ - 1) return node * inner_ + out;
    const int skipped = zigzag_index(modulo(out - in, inner_));
    const int offset = zigzag_offset(index + (index >= skipped ? 1 : 0));
    return node * inner_ + modulo(in + offset, inner_);
  }

  // Hands all ranks over in the order of their places: rank_at(0), rank_at(1) ..
  template <class Do>
  void for_places(Do act) const {
    if (plain_) {
      for (int rank = 0; rank < ranks_; ++rank) act(rank);
      return;
    }
    for (int node = 0; node < nodes_; ++node) {
      const int in = entrance(node), out = departure(node), first = node * inner_;
      for (int index = 0; index < inner_; ++index) {
        int local = in + zigzag_offset(index);
        if (local >= inner_) local -= inner_;
        if (local < 0) local += inner_;
        if (local != out) act(first + local);
      }
      act(first + out);
    }
  }

 private:
  int start_of(int channel, int channels) const {
    if (channels >= inner_) return channel % inner_;
    return static_cast<int>(std::int64_t{channel} * inner_ / channels);
  }
  // Local rank at which the channel enters a node; two neighbours never enter at the same one.
  int entrance(int node) const {
    node %= nodes_;
    const int half = inner_ / 2;
    const bool third = nodes_ % 2 == 1 && inner_ > 2 && node == nodes_ - 1;
    if (third) return modulo(first_ + half + 1, inner_);
    return node % 2 == 0 ? first_ : modulo(first_ + half, inner_);
  }
  // Two ranks in each of an odd number of nodes cannot close on their rail.
  int departure(int node) const {
    const int next = entrance(node + 1);
    return next == entrance(node) ? modulo(next + 1, inner_) : next;
  }
  // 0, 1, -1, 2, -2 .. : the i-th step of the zigzag, and which step reaches an offset.
  static int zigzag_offset(int index) { return index % 2 == 1 ? (index + 1) / 2 : -(index / 2); }
  int zigzag_index(int offset) const {
    return offset <= inner_ / 2 ? 2 * offset - (offset > 0 ? 1 : 0) : 2 * (inner_ - offset);
  }

  int ranks_, inner_, nodes_;
  bool plain_ = true;
  int first_ = 0;
};

}  // namespace railwright::collectives
