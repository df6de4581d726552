// A collective as data: who sends which chunk to whom, in which order. A schedule is printed,
// proved, priced, emulated and executed from the same value.
//
// It is a description, not a list: sends are enumerated per (rank, phase, step), so a ring over a
// million ranks is a few numbers. Steps are not barriers: a send starts when its chunks are
// complete at the source (all receives of earlier steps that touch them are done) and the channel's
// previous send from that source has left. Sends of one step on different channels go side by side.
// A step reads before it writes: what arrives in a step is put into the buffer once the rank's own
// sends of that step and of earlier ones that read the same chunks have left.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/graph.hpp"
#include "topology/result.hpp"
#include "topology/units.hpp"
#include "workload/program.hpp"

namespace railwright::collectives {

using workload::Operation;
using workload::to_string;

// In the order in which ties are decided: the simpler first.
enum class Algorithm : std::uint8_t {
  ring,                // reduce-scatter and all-gather around a ring, c channels
  chain,               // along a line of ranks and back, in m segments
  binomial_tree,       // reduce to the root, broadcast from it
  double_tree,         // two binary trees, each for half of the buffer, in m segments
  recursive_doubling,  // whole buffers exchanged at doubling distances, any rank count
  halving_doubling,    // recursive halving and doubling (Rabenseifner), any rank count
  swing,               // halving and doubling at distances 1, -1, 3, -5 .. of a torus
  bine,                // halving and doubling at negabinary distances
  torus,               // rings along each dimension in turn, on all ports at once
  bruck,               // log2 p steps for any rank count, blocks turned into place
  pat,                 // parallel aggregated trees: log steps while blocks fit in a buffer
  hierarchical,        // inside the node, across nodes per local rank, inside the node
  pairwise,            // with one partner per step
  direct,              // everybody to everybody in one step (all-reduce: two)
  one_shot,            // whole buffers from everybody to everybody, reduced by each
  nvls,                // reduced and multicast by the switch of a node
  nvls_tree,           // nvls inside nodes, a double tree per local rank across them
  sharp,               // nvls inside nodes, reduced by the switches of the network across them
  synthesized,         // trees made for this very cluster: synthesis.hpp
};
inline constexpr int algorithm_count = 19;
std::string to_string(Algorithm algorithm);
tl::expected<Algorithm, ConfigError> parse_algorithm(std::string_view text);

enum class Action : std::uint8_t {
  copy,    // the target's chunk becomes the source's
  reduce,  // the source's chunk is added to the target's
};

// Half-open [first, first + count) of the schedule's chunks.
struct ChunkRange {
  std::int64_t first = 0, count = 0;
  bool operator==(const ChunkRange&) const = default;
};

// Ranks count 0 .. ranks-1 inside the group. Ends from `ranks` on are switches that reduce and
// multicast: they begin with nothing, hold what was reduced into them and send copies of it.
struct Send {
  int source = 0, target = 0;
  ChunkRange chunks;
  Action action = Action::copy;
  int channel = 0;
  int route = -1;  // into Forest::routes; -1: the way that the cluster's routing gives
  bool operator==(const Send&) const = default;
};

// Steps that load the same links in the same proportions. `stationary`: every step moves equal
// bytes between the same pairs, so one variable can stand for all of them.
struct Phase {
  std::string name;  // "reduce-scatter inside the node"
  std::int64_t steps = 0;
  bool stationary = false;
  bool operator==(const Phase&) const = default;
};

// Trees over the ranks, made for one cluster: what a synthesized schedule runs along.
//
// Tree t takes `width[t]` neighbouring chunks of every segment from root[t] to all ranks, along its
// `down` edges; a reduction comes in along its `up` edges. An edge carries segment k of its tree in
// step `step` + k x period; steps of `up` and `down` edges count in one line, from 0.
struct Forest {
  struct Edge {
    int tree = 0, source = 0, target = 0;
    std::int64_t step = 0;
    int channel = 0;
    int route = -1;  // as Send::route
    bool operator==(const Edge&) const = default;
  };
  std::vector<int> root;                              // of each tree; trees of a root side by side
  std::vector<std::int64_t> width;                    // chunks of each tree; empty: one each
  std::vector<Edge> up, down;                         // ascending by step, then source
  std::vector<std::vector<topology::LinkId>> routes;  // links in the order of the way
  std::int64_t period = 1;                            // steps between segments, >= 1
  // Sends side by side share a link in proportion to their bytes; else they take turns on the
  // links that they fill.
  bool shares_links = false;
  bool operator==(const Forest&) const = default;
};

// Maker and parameters; equal values are equal schedules.
struct Schedule {
  Operation operation = Operation::all_reduce;
  Algorithm algorithm = Algorithm::ring;
  int ranks = 1;
  int channels = 1;  // ring: equal parts of the buffer that go round independently
  int inner = 1;     // ranks per node, for algorithms that tell nodes; group ranks are node-major
  int root = 0;      // broadcast, reduce, tree
  int segments = 1;  // pipelined algorithms: pieces that follow one another
  std::vector<int> dims = {};  // torus, swing: extents, the first one fastest; empty: one dimension
  Forest forest = {};          // synthesized
  bool operator==(const Schedule&) const = default;
};

// Empty when the maker can do it, else why not ("hierarchical: 6 ranks do not split into
// nodes of 4").
std::string why_not(const Schedule& schedule);

// Number of equal chunks the buffer is cut into (they differ by one element at most).
std::int64_t chunk_count(const Schedule& schedule);
// Send::channel is below this: `channels` of the ring; a direct exchange has one per distance.
int channel_count(const Schedule& schedule);
// Switches that take part: ends `ranks` .. ranks + switch_count - 1. 0 for most algorithms.
int switch_count(const Schedule& schedule);
// Bytes of a chunk range: chunk c is [floor(c n / C), floor((c + 1) n / C)) in whole elements.
// `size` is a multiple of `element`. The size of an all-to-all is what one rank sends in all (its
// row, nccl-tests' size column): its chunks lie in a buffer of ranks x size bytes, row after row.
Bytes bytes_of(const Schedule& schedule, ChunkRange range, Bytes size, std::uint64_t element = 1);
// First byte of a chunk in a buffer of `size`.
std::uint64_t offset_of(const Schedule& schedule, std::int64_t chunk, Bytes size,
                        std::uint64_t element = 1);

std::vector<Phase> phases_of(const Schedule& schedule);
// What `rank` (or a switch) sends, and what it receives, in one step; O(sends returned).
std::vector<Send> sends_from(const Schedule& schedule, int rank, int phase, std::int64_t step);
std::vector<Send> sends_to(const Schedule& schedule, int rank, int phase, std::int64_t step);

// Which chunks hold valid data at a rank before and after; the contract of each operation over
// one buffer of C chunks (in place):
//   all_reduce      before: own contribution everywhere    after: all contributions everywhere
//   reduce_scatter  before: own contribution everywhere    after: all contributions in own part
//   all_gather      before: own part                       after: every part
//   broadcast       before: root's buffer                  after: root's buffer everywhere
//   reduce          before: own contribution everywhere    after: all contributions at the root
//   all_to_all      chunk s * ranks + d is what s has for d: before s holds its row, after d its
//                   column
//   send            before: rank 0's buffer                after: at rank ranks-1
// The parts of a reduce-scatter or all-gather tile the buffer: in rank order, except hierarchical,
// where local rank l of node k owns chunk l x nodes + k. Other operations: every chunk.
ChunkRange own_part(const Schedule& schedule, int rank);

// Symbolic proof: runs the sends on sets of contributions and checks that every rank ends with
// every contribution exactly once, no chunk is overwritten while it is still needed, and two runs
// of any admissible order agree. Returns the first violation in words, or an empty string.
std::string violation_of(const Schedule& schedule);

}  // namespace railwright::collectives
