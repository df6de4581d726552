// Recursive halving and doubling over any pairing of the ranks: halving-doubling, Swing and Bine
// differ in who meets whom, and share the rest.
//
// A reduce-scatter has `rounds` rounds. In each of them every rank of the core meets a partner,
// keeps half of the blocks that it still looks after and gives the partner the other half. An
// all-gather is the same backwards; an all-reduce is both in turn.
#pragma once

#include "collectives/algorithms/butterflies/fold.hpp"

namespace railwright::collectives {

// Neighbouring blocks of 0 .. size-1; after the last one comes block 0, and a message that goes
// past it is sent in two pieces, one behind the other.
struct Blocks {
  int first = 0, count = 0;
};

inline int reversed_bits(int value, int bits) {
  int reversed = 0;
  for (int bit = 0; bit < bits; ++bit) reversed |= ((value >> bit) & 1) << (bits - 1 - bit);
  return reversed;
}

// `index` is a place in the core, `round` counts from the first exchange of a reduce-scatter,
// `copy` below copies(). All copies run at once, each on its share of the buffer.
struct Pairing {
  int (*copies)(const Schedule&);
  int (*partner)(const Schedule&, int copy, int index, int round);
  // What is left to a rank after a round: 2^(rounds-1-round) blocks, of which the partner keeps
  // none. After the last round it is the rank's own block.
  Blocks (*kept)(const Schedule&, int copy, int index, int round);
  int (*distance)(const Schedule&, int round);  // between partners, for names
};

namespace butterfly {

std::int64_t chunk_count(const Pairing&, const Schedule&);
int channel_count(const Pairing&, const Schedule&);
ChunkRange own_part(const Pairing&, const Schedule&, int rank);
std::vector<Phase> phases(const Pairing&, const Schedule&);
void add_sends(const Pairing&, const Schedule&, int rank, int phase, bool sending,
               std::vector<Send>& sends);
Seconds closed_form(const Pairing&, const Schedule&, Bytes size, Hop hop);

}  // namespace butterfly

template <const Pairing& pairing>
constexpr Maker butterfly_maker(std::span<const Operation> operations,
                                std::string (*refusal)(const Schedule&)) {
  return {operations,
          refusal,
          [](const Schedule& s) { return butterfly::chunk_count(pairing, s); },
          [](const Schedule& s) { return butterfly::channel_count(pairing, s); },
          [](const Schedule& s, int rank) { return butterfly::own_part(pairing, s, rank); },
          [](const Schedule& s) { return butterfly::phases(pairing, s); },
          first_step,
          all_steps,
          [](const Schedule& s, int rank, int phase, std::int64_t, bool sending,
             std::vector<Send>& sends) {
            butterfly::add_sends(pairing, s, rank, phase, sending, sends);
          },
          [](const Schedule& s, Bytes size, Hop hop) {
            return butterfly::closed_form(pairing, s, size, hop);
          }};
}

}  // namespace railwright::collectives
