// What each algorithm is known for: its steps, bytes, partners and trees.
#include <fmt/format.h>

#include <bit>
#include <catch2/catch.hpp>
#include <ctime>
#include <map>
#include <set>

#include "collectives/algorithms/trees/in_order_trees.hpp"
#include "collectives/proof.hpp"
#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

// Of the busiest rank.
std::uint64_t most_bytes_sent(const Schedule& schedule, Bytes size) {
  std::vector<std::uint64_t> sent(static_cast<std::size_t>(schedule.ranks), 0);
  for (const TimedSend& timed : all_sends(schedule))
    sent[timed.send.source] += bytes_of(schedule, timed.send.chunks, size).count;
  return *std::ranges::max_element(sent);
}

int log_of(int ranks) { return std::bit_width(static_cast<unsigned>(ranks - 1)); }
bool is_power(int ranks) { return std::has_single_bit(static_cast<unsigned>(ranks)); }

// Sends of all ranks in all steps.
std::int64_t sends_in(const Schedule& schedule) {
  std::int64_t sends = 0;
  const std::vector<Phase> phases = phases_of(schedule);
  for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase)
    for (std::int64_t step = 0; step < phases[phase].steps; ++step)
      for (int rank = 0; rank < schedule.ranks; ++rank)
        sends += std::ssize(sends_from(schedule, rank, phase, step));
  return sends;
}

std::vector<Schedule> logarithmic(int ranks) {
  return {{Operation::all_reduce, Algorithm::binomial_tree, ranks},
          {Operation::all_reduce, Algorithm::double_tree, ranks},
          {Operation::broadcast, Algorithm::double_tree, ranks},
          {Operation::all_reduce, Algorithm::recursive_doubling, ranks},
          {Operation::all_reduce, Algorithm::halving_doubling, ranks},
          {Operation::all_reduce, Algorithm::swing, ranks},
          {Operation::all_gather, Algorithm::swing, ranks},
          {Operation::all_reduce, Algorithm::bine, ranks},
          {Operation::reduce_scatter, Algorithm::bine, ranks},
          {Operation::all_gather, Algorithm::bruck, ranks},
          {Operation::all_gather, Algorithm::pat, ranks},
          {Operation::reduce_scatter, Algorithm::pat, ranks}};
}

}  // namespace

TEST_CASE("of two trees every rank but the root has children in one at most") {
  for (int ranks = 2; ranks <= 300; ++ranks)
    for (const TwoTrees& trees : {TwoTrees(ranks), TwoTrees(ranks, ranks / 3)}) {
      const bool rooted = trees.depth(0, ranks / 3) == 0 && trees.depth(1, ranks / 3) == 0;
      INFO(ranks << " ranks");
      for (int rank = 0; rank < ranks; ++rank) {
        const auto families = [&](int tree) {
          const auto children = trees.children(tree, rank);
          return children[0] >= 0 || children[1] >= 0;
        };
        if (rooted && rank == ranks / 3) continue;
        REQUIRE_FALSE((families(0) && families(1)));
      }
    }
}

TEST_CASE("parents and children of the two trees agree, and depths count from the root") {
  for (int ranks = 2; ranks <= 100; ++ranks)
    for (const int root : {-1, 0, ranks / 2, ranks - 1}) {
      const TwoTrees trees = root < 0 ? TwoTrees(ranks) : TwoTrees(ranks, root);
      INFO(ranks << " ranks, root " << root);
      for (const int tree : {0, 1}) {
        int deepest = 0, edges = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          deepest = std::max(deepest, trees.depth(tree, rank));
          for (const int child : trees.children(tree, rank)) {
            if (child < 0) continue;
            ++edges;
            REQUIRE(trees.parent(tree, child) == rank);
            REQUIRE(trees.depth(tree, child) == trees.depth(tree, rank) + 1);
          }
        }
        CHECK(edges == ranks - 1);
        CHECK(deepest <= trees.height());
        CHECK(trees.height() <= log_of(ranks) + 1);
      }
    }
}

TEST_CASE("steps of the logarithmic algorithms are those of their papers") {
  for (int p = 2; p <= 65; ++p) {
    const int log = log_of(p), core = is_power(p) ? log : log - 1, folds = is_power(p) ? 0 : 2;
    INFO(p << " ranks");
    CHECK(steps_of({Operation::all_reduce, Algorithm::recursive_doubling, p}) == core + folds);
    CHECK(steps_of({Operation::all_reduce, Algorithm::swing, p}) == 2 * core + folds);
    CHECK(steps_of({Operation::reduce_scatter, Algorithm::bine, p}) == core + folds);
    CHECK(steps_of({Operation::all_gather, Algorithm::bruck, p}) == log);
    CHECK(steps_of({Operation::all_to_all, Algorithm::bruck, p}) == log);
    CHECK(steps_of({Operation::all_gather, Algorithm::pat, p}) == log);
    CHECK(steps_of({Operation::all_to_all, Algorithm::pairwise, p}) == p - 1);
    CHECK(steps_of({Operation::all_reduce, Algorithm::one_shot, p}) == 1);
    for (const int m : {1, 4, 40}) {
      CHECK(steps_of({Operation::broadcast, Algorithm::chain, p, 1, 1, 0, m}) == m + p - 2);
      CHECK(steps_of({Operation::all_reduce, Algorithm::chain, p, 1, 1, 0, m}) ==
            m + 2 * (p - 1) - 1);
      CHECK(steps_of({Operation::all_reduce, Algorithm::double_tree, p, 1, 1, 0, m}) <=
            m + 2 * log - 1);
    }
  }
}

TEST_CASE("bytes of the busiest rank are those of the textbook") {
  const Bytes size{720'720};
  for (const int p : {2, 3, 4, 7, 8, 16, 33}) {
    INFO(p << " ranks");
    const std::uint64_t n = size.count, part = n / p;
    const auto sent = [&](Operation operation, Algorithm algorithm, int segments = 1) {
      return most_bytes_sent({operation, algorithm, p, 1, 1, 0, segments}, size);
    };
    CHECK(sent(Operation::all_reduce, Algorithm::one_shot) == (p - 1) * n);
    CHECK(sent(Operation::all_reduce, Algorithm::chain, 8) == (p == 2 ? n : 2 * n));
    CHECK(sent(Operation::reduce, Algorithm::chain, 8) == n);
    CHECK(sent(Operation::reduce, Algorithm::direct) == n);
    // Two trees: both halves up and both down, and never more than twice the buffer.
    CHECK(sent(Operation::all_reduce, Algorithm::double_tree, 8) <= 2 * n);
    CHECK(sent(Operation::broadcast, Algorithm::double_tree, 8) <= n);
    // The parts of 33 ranks differ by a byte.
    const std::uint64_t least = (p - 1) * part, most = (p - 1) * (part + 1);
    for (const auto& [operation, algorithm] : {std::pair{Operation::all_gather, Algorithm::bruck},
                                               {Operation::all_gather, Algorithm::pat},
                                               {Operation::reduce_scatter, Algorithm::pat},
                                               {Operation::reduce_scatter, Algorithm::pairwise},
                                               {Operation::all_to_all, Algorithm::pairwise}}) {
      CHECK(sent(operation, algorithm) >= least);
      CHECK(sent(operation, algorithm) <= most);
    }
    if (!is_power(p)) continue;
    CHECK(sent(Operation::all_reduce, Algorithm::recursive_doubling) == log_of(p) * n);
    CHECK(sent(Operation::all_reduce, Algorithm::swing) == 2 * (p - 1) * part);
    CHECK(sent(Operation::reduce_scatter, Algorithm::bine) == (p - 1) * part);
    // Bruck passes half of all blocks on in each step.
    CHECK(sent(Operation::all_to_all, Algorithm::bruck) == log_of(p) * n / 2);
  }
}

TEST_CASE("partners of Swing are 1, 1, 3, 5, 11 apart, on a torus along one dimension at a time") {
  const auto distances = [](const Schedule& schedule) {
    std::vector<int> all;
    for (int phase = 0; phase < log_of(schedule.ranks); ++phase) {
      const Send send = sends_from(schedule, 0, phase, 0).front();
      all.push_back(std::min(send.target, schedule.ranks - send.target));
    }
    return all;
  };
  CHECK(distances({Operation::all_reduce, Algorithm::swing, 64}) ==
        std::vector{1, 1, 3, 5, 11, 21});
  // Rank 0 of 8x4: 1 in x, 1 in y (8 ranks), 1 back in x, 1 back in y, 3 in x.
  CHECK(distances({Operation::all_reduce, Algorithm::swing, 32, 1, 1, 0, 1, {8, 4}}) ==
        std::vector{1, 8, 7, 8, 3});
  // Bine's parts in rank order ask for the farthest first: a third of the ring, not half of it.
  CHECK(distances({Operation::reduce_scatter, Algorithm::bine, 64}) ==
        std::vector{21, 11, 5, 3, 1, 1});
}

TEST_CASE("copies of Swing on a torus use every port of every rank in every step") {
  const Schedule schedule{Operation::all_reduce, Algorithm::swing, 64, 1, 1, 0, 1, {4, 4, 4}};
  CHECK(channel_count(schedule) == 6);
  for (int rank = 0; rank < 64; ++rank) {
    std::set<int> neighbours;
    for (const Send& send : sends_from(schedule, rank, 0, 0)) neighbours.insert(send.target);
    CHECK(neighbours.size() == 6);
  }
}

TEST_CASE("parts of Bine and pairwise lie in rank order, of Swing and PAT anywhere once") {
  for (const int p : {2, 4, 7, 8, 12, 32})
    for (int rank = 0; rank < p; ++rank) {
      CHECK(own_part({Operation::reduce_scatter, Algorithm::bine, p}, rank) == ChunkRange{rank, 1});
      CHECK(own_part({Operation::all_gather, Algorithm::pairwise, p}, rank) == ChunkRange{rank, 1});
    }
  for (const int p : {2, 4, 8, 32}) {
    CHECK(tiling_violation_of({Operation::reduce_scatter, Algorithm::swing, p}) == "");
    CHECK(tiling_violation_of({Operation::all_gather, Algorithm::pat, p}) == "");
  }
}

TEST_CASE("no message of PAT is larger than its segments allow") {
  for (const int p : {2, 5, 16, 33, 64})
    for (const int segments : {1, 2, 5, 100}) {
      const Schedule schedule{Operation::all_gather, Algorithm::pat, p, 1, 1, 0, segments};
      const int most = (p / 2 + segments - 1) / segments;
      std::map<std::tuple<int, std::int64_t, int>, std::int64_t> blocks;
      for (const TimedSend& t : all_sends(schedule))
        blocks[{t.phase, t.step, t.send.source}] += t.send.chunks.count;
      INFO(text_of(schedule));
      for (const auto& [message, count] : blocks) CHECK(count <= most);
    }
}

TEST_CASE("a two-level all-to-all talks to its node and its rail, and leaves the node once") {
  const Schedule schedule{Operation::all_to_all, Algorithm::hierarchical, 24, 1, 8};
  std::map<std::int64_t, int> crossings;
  for (const TimedSend& timed : all_sends(schedule)) {
    const Send& send = timed.send;
    const bool same_node = send.source / 8 == send.target / 8;
    CHECK((same_node || send.source % 8 == send.target % 8));
    if (!same_node) ++crossings[send.chunks.first];
  }
  CHECK(crossings.size() == 24 * 16);  // every block with a destination on another node
  for (const auto& [block, count] : crossings) CHECK(count == 1);
}

TEST_CASE("logarithmic schedules enumerate no more sends than there are") {
  const int p = 4096, log = 12;
  for (const Schedule& schedule : logarithmic(p)) {
    INFO(text_of(schedule));
    const std::int64_t sends = sends_in(schedule);
    CHECK(sends <= 2 * (log + 1) * p);
    CHECK(sends >= p - 1);
  }
}

// collectives_test "[speed]"; not run by default: it measures.
TEST_CASE("65,536 ranks are enumerated over all steps in a second", "[.speed]") {
  for (const Schedule& schedule : logarithmic(1 << 16)) {
    const std::clock_t start = std::clock();  // of the processor: others may be busy on it too
    const std::int64_t sends = sends_in(schedule);
    const double time = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    WARN(fmt::format("{}: {} sends in {:.2f} s", text_of(schedule), sends, time));
    CHECK(time < 1);
  }
}

TEST_CASE("what the algorithms of this file cannot do is refused with the reason") {
  CHECK(why_not({Operation::all_reduce, Algorithm::chain, 4, 1, 1, 0, 0}) ==
        "chain: 0 segments carry nothing; write 1 or more");
  CHECK(why_not({Operation::reduce_scatter, Algorithm::swing, 6}) ==
        "swing: reduce_scatter of 6 ranks; parts need a power of two: bine and halving_doubling "
        "do without");
  CHECK(why_not({Operation::all_reduce, Algorithm::swing, 24, 1, 1, 0, 1, {6, 4}}) ==
        "swing: 6 of the dimensions 6x4 is no power of two; torus takes any extent");
  CHECK(why_not({Operation::all_reduce, Algorithm::bine, 16, 1, 1, 0, 1, {4, 8}}) ==
        "bine: dimensions 4x8 do not hold 16 ranks");
  CHECK(why_not({Operation::broadcast, Algorithm::bruck, 4}) ==
        "bruck does not do broadcast, only all_gather, all_to_all");
  CHECK(why_not({Operation::all_gather, Algorithm::pat, 4, 1, 1, 0, -1}) ==
        "pat: -1 segments carry nothing; write 1 or more");
}
