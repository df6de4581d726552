// The stages that a piece of the buffer passes one after another when switches reduce and
// multicast: shared by nvls, nvls_tree and sharp.
//
// g ranks hang on each switch that reduces (all of them, or those of a node), k nodes. A piece of
// an all-reduce is g chunks; chunk l of it is the business of local rank l:
//
//   contribute   every rank to its switch, all g chunks (reduce)
//   collect      the switch to local rank l, chunk l
//   up, down     nvls_tree: chunk l along a tree over the nodes and back, level by level; even and
//                odd pieces take the two trees of in_order_trees.hpp
//   enter        sharp: chunk l into switch l of the network (reduce)
//   leave        and out of it to every node
//   give_back    local rank l to its switch, chunk l
//   spread       the switch to all its ranks, all g chunks (multicast)
//
// A double tree over nodes (NCCL's Tree: a chain inside each node, a tree between nodes) has no
// switches:
//
//   chain_in, chain_out   chunk l along the ranks of a node to local rank l, and back; g chains at
//                         once, as NCCL's channels
//   up, down              as above
//
// With one rank per node sharp has `enter` and `leave` only. The other operations of nvls take two
// stages, `gather` and `deal`: their pieces are single chunks, which come from one rank or go to
// one.
#pragma once

#include <vector>

#include "collectives/maker.hpp"

namespace railwright::collectives {

enum class StageKind : std::uint8_t {
  contribute,
  collect,
  up,
  down,
  enter,
  leave,
  give_back,
  spread,
  chain_in,
  chain_out,
  gather,  // ranks to the switch
  deal,    // the switch to ranks
};

struct Stage {
  StageKind kind = StageKind::contribute;
  int level = 0;  // up, chain_in: hops from that depth; down, chain_out: hops to it
};

// Ranks on one switch inside a node, and nodes.
int on_one_switch(const Schedule& schedule);
int nodes_of(const Schedule& schedule);
std::vector<Stage> stages_of(const Schedule& schedule);
std::int64_t pieces_of(const Schedule& schedule);
int chunks_per_piece(const Schedule& schedule);
// Channels of a stage: what leaves an end for different targets goes side by side.
int channels_per_stage(const Schedule& schedule);
// The rank that the only chunk of a piece comes from or goes to (gather and deal).
int owner_of(const Schedule& schedule, std::int64_t piece);

// Stages of a double tree over nodes send along patterns: all hops of the chains one way, or the
// edges between two depths of one of the trees, for every local rank. Of stage `stage` for a piece:
int pattern_of_stage(const Stage& stage, std::int64_t piece);
void add_connections(const Schedule& schedule, int pattern, const ConnectionSink& sink);

// All sends of a stage for one piece from, or to, one end.
void add_stage_sends(const Schedule& schedule, int stage, std::int64_t piece, int end, bool sending,
                     std::vector<Send>& sends);

}  // namespace railwright::collectives
