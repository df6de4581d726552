// A collective as data: who sends which chunk to whom, in which order. A schedule is printed,
// proved, priced, emulated and executed from the same value.
//
// It is a description, not a list: sends are enumerated per (rank, phase, step), so a ring over a
// million ranks is a few numbers. Steps are not barriers: a send starts when its chunks are
// complete at the source (all receives of earlier steps that touch them are done) and the channel's
// previous send from that source has left. Sends of one step on different channels go side by side.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"
#include "workload/program.hpp"

namespace railwright::collectives {

using workload::Operation;
using workload::to_string;

enum class Algorithm : std::uint8_t {
  ring,              // reduce-scatter and all-gather around a ring, c channels
  binomial_tree,     // reduce to the root, broadcast from it
  halving_doubling,  // recursive halving and doubling, any rank count (folds the surplus in)
  hierarchical,      // inside the node, across nodes per local rank, inside the node
  direct,            // everybody to everybody in one step
};
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

// Ranks count 0 .. ranks-1 inside the group.
struct Send {
  int source = 0, target = 0;
  ChunkRange chunks;
  Action action = Action::copy;
  int channel = 0;
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

// Maker and parameters; equal values are equal schedules.
struct Schedule {
  Operation operation = Operation::all_reduce;
  Algorithm algorithm = Algorithm::ring;
  int ranks = 1;
  int channels = 1;  // ring: equal parts of the buffer that go round independently
  int inner = 1;     // hierarchical: ranks per node; group ranks are node-major
  int root = 0;      // broadcast, tree
  bool operator==(const Schedule&) const = default;
};

// Empty when the maker can do it, else why not ("hierarchical: 6 ranks do not split into
// nodes of 4").
std::string why_not(const Schedule& schedule);

// Number of equal chunks the buffer is cut into (they differ by one element at most).
std::int64_t chunk_count(const Schedule& schedule);
// Send::channel is below this: `channels` of the ring; a direct exchange has one per distance.
int channel_count(const Schedule& schedule);
// Bytes of a chunk range: chunk c is [floor(c n / C), floor((c + 1) n / C)) in whole elements.
// `size` is a multiple of `element`. The size of an all-to-all is what one rank sends in all (its
// row, nccl-tests' size column): its chunks lie in a buffer of ranks x size bytes, row after row.
Bytes bytes_of(const Schedule& schedule, ChunkRange range, Bytes size, std::uint64_t element = 1);
// First byte of a chunk in a buffer of `size`.
std::uint64_t offset_of(const Schedule& schedule, std::int64_t chunk, Bytes size,
                        std::uint64_t element = 1);

std::vector<Phase> phases_of(const Schedule& schedule);
// What `rank` sends, and what it receives, in one step; O(sends returned).
std::vector<Send> sends_from(const Schedule& schedule, int rank, int phase, std::int64_t step);
std::vector<Send> sends_to(const Schedule& schedule, int rank, int phase, std::int64_t step);

// Which chunks hold valid data at a rank before and after; the contract of each operation over
// one buffer of C chunks (in place):
//   all_reduce      before: own contribution everywhere    after: all contributions everywhere
//   reduce_scatter  before: own contribution everywhere    after: all contributions in own part
//   all_gather      before: own part                       after: every part
//   broadcast       before: root's buffer                  after: root's buffer everywhere
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
