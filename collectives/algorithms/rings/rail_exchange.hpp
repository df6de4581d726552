// The all-to-all of `hierarchical`: inside the node to the rank with the local index of the
// destination, then across nodes along its rail, as the dispatch of experts to nodes does it
// (NCCL's PXN). A rank then talks to g-1 + k-1 others instead of p-1, and what leaves a node stays
// on one rail.
//
// Block (s, d) passes through its own chunk s * ranks + d of the rank on the way: it needs no other
// room. One step moves one block to each partner, so that both phases are stationary. Phases have
// channels of their own: a rank's own blocks leave the node while others still come in.
#pragma once

#include "collectives/maker.hpp"

namespace railwright::collectives::rail_exchange {

int channel_count(const Schedule& schedule);
std::vector<Phase> phases(const Schedule& schedule);
void add_sends(const Schedule& schedule, int rank, int phase, std::int64_t step, bool sending,
               std::vector<Send>& sends);
// g ranks in each of k nodes:  2 latency + ((g-1) k + (k-1) g) ceil(n / p) / bandwidth; one
// latency where g or k is 1.
Seconds closed_form(const Schedule& schedule, Bytes size, Hop hop);

}  // namespace railwright::collectives::rail_exchange
