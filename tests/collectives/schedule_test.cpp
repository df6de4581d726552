#include "collectives/schedule.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <map>

#include "collectives/proof.hpp"
#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

std::vector<std::uint64_t> bytes_sent(const Schedule& schedule, Bytes size) {
  std::vector<std::uint64_t> sent(static_cast<std::size_t>(schedule.ranks), 0);
  for (const TimedSend& timed : all_sends(schedule))
    sent[timed.send.source] += bytes_of(schedule, timed.send.chunks, size).count;
  return sent;
}

// Sent by every rank.
void check_bytes_per_rank(const Schedule& schedule, Bytes size, std::uint64_t expected) {
  INFO(text_of(schedule));
  for (const std::uint64_t sent : bytes_sent(schedule, size)) CHECK(sent == expected);
}

}  // namespace

TEST_CASE("one rank has nothing to send, whatever the operation and algorithm") {
  for (const Schedule& schedule : schedules_of(1)) {
    INFO(text_of(schedule));
    CHECK(phases_of(schedule).empty());
    CHECK(own_part(schedule, 0) == ChunkRange{0, chunk_count(schedule)});
    CHECK(bytes_of(schedule, own_part(schedule, 0), bytes(7)) == bytes(7));
  }
}

TEST_CASE("sends of a ring over a million ranks are a description, not a list") {
  const Schedule ring{Operation::all_reduce, Algorithm::ring, 1 << 20, 2};
  CHECK(chunk_count(ring) == 2 << 20);
  CHECK(steps_of(ring) == 2 * ((1 << 20) - 1));
  // Step 0 of the all-gather: every rank passes on its own block.
  const std::vector<Send> sends = sends_from(ring, 1'000'000, 1, 0);
  REQUIRE(sends.size() == 2);
  CHECK(sends[0] == Send{1'000'000, 1'000'001, {2'000'000, 1}, Action::copy, 0});
  CHECK(sends[1] == Send{1'000'000, 999'999, {2'000'001, 1}, Action::copy, 1});
}

TEST_CASE("a ring of three reduces and gathers as drawn by hand") {
  // Block r ends at rank r: it starts its way at rank r+1 and crosses two hops.
  const Schedule ring{Operation::all_reduce, Algorithm::ring, 3};
  const std::vector<TimedSend> expected = {
      {{0, 1, {2, 1}, Action::reduce, 0}, 0, 0}, {{1, 2, {0, 1}, Action::reduce, 0}, 0, 0},
      {{2, 0, {1, 1}, Action::reduce, 0}, 0, 0}, {{0, 1, {1, 1}, Action::reduce, 0}, 0, 1},
      {{1, 2, {2, 1}, Action::reduce, 0}, 0, 1}, {{2, 0, {0, 1}, Action::reduce, 0}, 0, 1},
      {{0, 1, {0, 1}, Action::copy, 0}, 1, 0},   {{1, 2, {1, 1}, Action::copy, 0}, 1, 0},
      {{2, 0, {2, 1}, Action::copy, 0}, 1, 0},   {{0, 1, {2, 1}, Action::copy, 0}, 1, 1},
      {{1, 2, {0, 1}, Action::copy, 0}, 1, 1},   {{2, 0, {1, 1}, Action::copy, 0}, 1, 1},
  };
  CHECK(all_sends(ring) == expected);
}

TEST_CASE("chunks tile every buffer, in whole elements, and differ by one element at most") {
  for (const int ranks : {2, 3, 7, 12})
    for (const Schedule& schedule : schedules_of(ranks))
      for (const std::uint64_t elements : {0, 1, 5, 1000, 1001})
        for (const std::uint64_t element : {1, 2, 4}) {
          INFO(text_of(schedule) << ", " << elements << " elements of " << element << " bytes");
          const Bytes size{elements * element};
          const bool rows = schedule.operation == Operation::all_to_all;
          const std::uint64_t in_all = rows ? ranks * size.count : size.count;
          const std::uint64_t parts = rows ? ranks : chunk_count(schedule);
          std::uint64_t end = 0;
          for (std::int64_t chunk = 0; chunk < chunk_count(schedule); ++chunk) {
            REQUIRE(offset_of(schedule, chunk, size, element) == end);
            const std::uint64_t count = bytes_of(schedule, {chunk, 1}, size, element).count;
            REQUIRE(count % element == 0);
            REQUIRE(count / element >= elements / parts);
            REQUIRE(count / element <= (elements + parts - 1) / parts);
            end += count;
          }
          REQUIRE(end == in_all);
        }
}

TEST_CASE("offsets are exact where chunk times bytes does not fit 64 bits") {
  // 2^20 ranks, 8 channels, 2^60 + 1 bytes: chunk c starts at floor(c (2^60 + 1) / 2^23), which is
  // c 2^37 for every c < 2^23.
  const Schedule ring{Operation::all_reduce, Algorithm::ring, 1 << 20, 8};
  const Bytes size{(std::uint64_t{1} << 60) + 1};
  CHECK(offset_of(ring, (1 << 23) - 1, size) == ((std::uint64_t{1} << 23) - 1) << 37);
  CHECK(offset_of(ring, 1 << 23, size) == size.count);
}

TEST_CASE("reduce-scatter parts are the same bytes for every algorithm in rank order") {
  const Bytes size{1003};
  for (const Algorithm algorithm :
       {Algorithm::ring, Algorithm::halving_doubling, Algorithm::direct})
    for (const int channels : {1, 2}) {
      const Schedule schedule{Operation::reduce_scatter, algorithm, 6, channels};
      if (!why_not(schedule).empty()) continue;
      for (int rank = 0; rank < 6; ++rank) {
        const ChunkRange part = own_part(schedule, rank);
        CHECK(offset_of(schedule, part.first, size) == rank * size.count / 6);
        CHECK(offset_of(schedule, part.first + part.count, size) == (rank + 1) * size.count / 6);
      }
    }
}

// The table of bytes per rank in docs/collectives.md, exact where sizes divide.
TEST_CASE("every rank sends the bytes of the textbook") {
  for (const int p : {2, 3, 4, 6, 8, 12, 16}) {
    const Bytes size{std::uint64_t{720'720} * p * p};
    const std::uint64_t part = size.count / p * (p - 1);
    for (const int channels : {1, 2, 3}) {
      check_bytes_per_rank({Operation::all_reduce, Algorithm::ring, p, channels}, size, 2 * part);
      check_bytes_per_rank({Operation::reduce_scatter, Algorithm::ring, p, channels}, size, part);
      check_bytes_per_rank({Operation::all_gather, Algorithm::ring, p, channels}, size, part);
    }
    check_bytes_per_rank({Operation::all_reduce, Algorithm::direct, p}, size, 2 * part);
    check_bytes_per_rank({Operation::reduce_scatter, Algorithm::direct, p}, size, part);
    check_bytes_per_rank({Operation::all_gather, Algorithm::direct, p}, size, part);
    check_bytes_per_rank({Operation::all_to_all, Algorithm::direct, p}, size, part);
    for (int inner = 1; inner <= p; ++inner) {
      if (p % inner != 0) continue;
      const Schedule nodes{Operation::all_reduce, Algorithm::hierarchical, p, 1, inner};
      check_bytes_per_rank(nodes, size, 2 * part);
    }
    if (!std::has_single_bit(static_cast<unsigned>(p))) continue;
    check_bytes_per_rank({Operation::all_reduce, Algorithm::halving_doubling, p}, size, 2 * part);
    check_bytes_per_rank({Operation::reduce_scatter, Algorithm::halving_doubling, p}, size, part);
    check_bytes_per_rank({Operation::all_gather, Algorithm::halving_doubling, p}, size, part);
  }
}

TEST_CASE("all trees carry the buffer once to, and once from, each rank but the root") {
  const Bytes size{1000};
  for (int p = 2; p <= 33; ++p)
    for (const int root : {0, p / 2, p - 1}) {
      const Schedule reduce{Operation::all_reduce, Algorithm::binomial_tree, p, 1, 1, root};
      const Schedule broadcast{Operation::broadcast, Algorithm::binomial_tree, p, 1, 1, root};
      CHECK(std::ssize(all_sends(reduce)) == 2 * (p - 1));
      CHECK(std::ssize(all_sends(broadcast)) == p - 1);
      // The root of the broadcast is the busiest: one send per round.
      CHECK(bytes_sent(broadcast, size)[root] ==
            1000 * std::bit_width(static_cast<unsigned>(p - 1)));
    }
}

TEST_CASE("steps are those of the textbook") {
  for (int p = 2; p <= 33; ++p) {
    const int log = std::bit_width(static_cast<unsigned>(p - 1));
    CHECK(steps_of({Operation::all_reduce, Algorithm::ring, p}) == 2 * (p - 1));
    CHECK(steps_of({Operation::broadcast, Algorithm::ring, p}) == 4 * p + p - 2);
    CHECK(steps_of({Operation::all_reduce, Algorithm::binomial_tree, p}) == 2 * log);
    CHECK(steps_of({Operation::all_reduce, Algorithm::direct, p}) == 2);
    // Folding surplus ranks in and out takes two more steps than the power of two below.
    const bool power = std::has_single_bit(static_cast<unsigned>(p));
    const int core = power ? log : log - 1, folds = power ? 0 : 2;
    CHECK(steps_of({Operation::all_reduce, Algorithm::halving_doubling, p}) == 2 * core + folds);
    CHECK(steps_of({Operation::all_gather, Algorithm::halving_doubling, p}) == core + folds);
  }
  CHECK(steps_of({Operation::all_reduce, Algorithm::hierarchical, 24, 1, 8}) == 2 * (7 + 2));
}

// A message may be several sends in a row: where its chunks are no single range.
TEST_CASE("a rank sends and receives one message at a time on each channel") {
  for (int ranks = 2; ranks <= 17; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      INFO(text_of(schedule));
      const std::vector<Phase> phases = phases_of(schedule);
      for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase)
        for (int rank = 0; rank < ranks; ++rank) {
          const std::int64_t step = phases[phase].steps / 2;
          for (const auto& sends :
               {sends_from(schedule, rank, phase, step), sends_to(schedule, rank, phase, step)}) {
            std::map<int, std::pair<int, int>> ends;  // by channel
            for (const Send& send : sends) {
              const std::pair pair{send.source, send.target};
              REQUIRE(ends.try_emplace(send.channel, pair).first->second == pair);
              REQUIRE(send.channel < channel_count(schedule));
            }
          }
        }
    }
}

TEST_CASE("in a stationary phase every step uses the same connections for equal bytes") {
  for (int ranks = 2; ranks <= 17; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      INFO(text_of(schedule));
      const std::vector<Phase> phases = phases_of(schedule);
      for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase) {
        if (!phases[phase].stationary) continue;
        for (int rank = 0; rank < ranks; ++rank) {
          std::vector<Send> first = sends_from(schedule, rank, phase, 0);
          for (std::int64_t step = 1; step < phases[phase].steps; ++step) {
            std::vector<Send> sends = sends_from(schedule, rank, phase, step);
            REQUIRE(sends.size() == first.size());
            for (std::size_t i = 0; i < sends.size(); ++i) {
              sends[i].chunks.first = first[i].chunks.first;
              REQUIRE(sends[i] == first[i]);
            }
          }
        }
      }
    }
}

TEST_CASE("what an algorithm cannot do is refused with the reason") {
  const auto reason = [](Schedule schedule) { return why_not(schedule); };
  CHECK(reason({Operation::all_reduce, Algorithm::hierarchical, 6, 1, 4}) ==
        "hierarchical: 6 ranks do not split into nodes of 4");
  CHECK(reason({Operation::all_to_all, Algorithm::ring, 4}) ==
        "ring does not do all_to_all, only all_reduce, reduce_scatter, all_gather, broadcast, "
        "reduce");
  CHECK(reason({Operation::all_reduce, Algorithm::direct, 4, 2}) ==
        "direct has one channel, not 2: only the ring splits its buffer");
  CHECK(reason({Operation::broadcast, Algorithm::ring, 4, 1, 1, 4}) ==
        "root 4 is not a rank: they count from 0 to 3");
  CHECK(reason({Operation::all_reduce, Algorithm::ring, 0}) == "a group of 0 ranks is empty");
  CHECK(reason({Operation::all_reduce, Algorithm::ring, 4, 0}) == "0 channels carry nothing");
  CHECK(violation_of({Operation::all_to_all, Algorithm::ring, 4}) != "");
}

TEST_CASE("algorithms are read by the names they are written with") {
  for (const Algorithm algorithm : algorithms)
    CHECK(parse_algorithm(to_string(algorithm)).value() == algorithm);
  CHECK(parse_algorithm("tree").value() == Algorithm::binomial_tree);
  CHECK(parse_algorithm("rabenseifner").value() == Algorithm::halving_doubling);
  CHECK(parse_algorithm("double_binary_tree").value() == Algorithm::double_tree);
  CHECK(parse_algorithm("two_shot").value() == Algorithm::direct);
  const auto wrong = parse_algorithm("star");
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().message == "unknown algorithm 'star'");
  for (const Algorithm algorithm : algorithms)
    CHECK(wrong.error().hint.find(to_string(algorithm)) != std::string::npos);
}
