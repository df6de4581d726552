#include "collectives/cost.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <map>
#include <span>

#include "collectives/maker.hpp"
#include "collectives/proof.hpp"
#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

const Hop hop{microseconds(3), gigabytes_per_second(50)};
const Hop no_latency{{}, gigabytes_per_second(50)};

// Bytes over time 1 in lock-step: every step takes as long as the largest load of any rank's hop in
// or out. Ranges count as if they were as large as ranges of so many chunks can be.
double lock_step_bytes(const Schedule& schedule, const std::vector<TimedSend>& sends, Bytes size) {
  std::map<std::pair<int, std::int64_t>, std::map<std::pair<bool, int>, double>> loads;
  const bool rows = schedule.operation == Operation::all_to_all;
  const auto chunks = static_cast<double>(rows ? schedule.ranks : chunk_count(schedule));
  for (const TimedSend& timed : sends) {
    auto& step = loads[{timed.phase, timed.step}];
    const double bytes =
        std::ceil(static_cast<double>(timed.send.chunks.count * size.count) / chunks);
    step[{false, timed.send.source}] += bytes;
    step[{true, timed.send.target}] += bytes;
  }
  double total = 0;
  for (const auto& [moment, ranks] : loads) {
    double largest = 0;
    for (const auto& [end, bytes] : ranks) largest = std::max(largest, bytes);
    total += largest;
  }
  return total;
}

// The most sends in a row of which each waits for the arrival of the one before, by the rule of
// schedule.hpp: what shows of the latency when there are no bytes.
class Waits {
 public:
  explicit Waits(const std::vector<TimedSend>& sends) {
    for (std::size_t first = 0; first < sends.size();) {
      std::size_t last = first;
      while (last < sends.size() && sends[last].phase == sends[first].phase &&
             sends[last].step == sends[first].step)
        ++last;
      const std::span step(sends.begin() + static_cast<std::ptrdiff_t>(first), last - first);
      std::vector<int> before;
      for (const TimedSend& timed : step) before.push_back(start(timed.send));
      for (std::size_t i = 0; i < step.size(); ++i) arrive(step[i].send, before[i] + 1);
      first = last;
    }
  }
  int longest() const { return longest_; }

 private:
  int start(const Send& send) {
    int& on_channel = on_channel_[{send.source, send.channel}];
    for (std::int64_t i = 0; i < send.chunks.count; ++i)
      on_channel = std::max(on_channel, at(send.source, send.chunks.first + i));
    return on_channel;
  }
  void arrive(const Send& send, int waits) {
    longest_ = std::max(longest_, waits);
    for (std::int64_t i = 0; i < send.chunks.count; ++i) {
      int& cell = at(send.target, send.chunks.first + i);
      cell = std::max(cell, waits);
    }
  }
  int& at(int rank, std::int64_t chunk) { return arrived_[{rank, chunk}]; }

  std::map<std::pair<int, int>, int> on_channel_;
  std::map<std::pair<int, std::int64_t>, int> arrived_;
  int longest_ = 0;
};

// What the closed form says is only an upper limit, and how far off it is at most:
double overestimate(const Schedule& schedule) {
  switch (schedule.algorithm) {
    case Algorithm::double_tree:  // few ranks or segments: nobody is loaded from all sides
      return 2;
    case Algorithm::ring:  // chains in opposite directions fill and drain on different ranks
      return schedule.channels > 1 ? 1.25 : 1;
    default:
      return 1;
  }
}

// Chunks that travel side by side are rounded up together or each by itself: some bytes.
double rounding(const Schedule& schedule) {
  switch (schedule.algorithm) {
    case Algorithm::bruck:
    case Algorithm::bine:
      return 4.0 * schedule.ranks;
    default:
      return 0;
  }
}

}  // namespace

TEST_CASE("the byte term of every closed form is that of its sends in lock-step") {
  const Hop unit{{}, bytes_per_second(1)};
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      const bool long_chain =
          schedule.algorithm == Algorithm::ring &&
          (schedule.operation == Operation::broadcast || schedule.operation == Operation::reduce);
      if (ranks > 17 && long_chain) continue;
      const std::vector<TimedSend> sends = all_sends(schedule);
      for (const std::uint64_t size : {0, 1, 1000, 123'456'789}) {
        INFO(text_of(schedule) << ", " << size << " bytes");
        const double expected = lock_step_bytes(schedule, sends, bytes(size));
        const double time = closed_form_time(schedule, bytes(size), unit).value;
        REQUIRE(time >= expected * (1 - 1e-12) - rounding(schedule));
        REQUIRE(time <= expected * (1 + 1e-12) * overestimate(schedule) + rounding(schedule));
      }
    }
}

TEST_CASE("the latency of every closed form is that of its longest row of waiting sends") {
  const Hop unit{seconds(1), bytes_per_second(1)};
  for (int ranks = 2; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      if (ranks > 17 && schedule.algorithm == Algorithm::ring) continue;
      INFO(text_of(schedule));
      const double latency = closed_form_time(schedule, bytes(0), unit).value;
      const int waits = Waits(all_sends(schedule)).longest();
      // Where ranks sit rounds out, the longest row may miss a round, or two.
      const bool power = std::has_single_bit(static_cast<unsigned>(ranks));
      REQUIRE(latency >= waits);
      REQUIRE(latency <= waits + (power ? 0 : 2));
      double declared = 0;
      const std::vector<Phase> phases = phases_of(schedule);
      for (int i = 0; i < static_cast<int>(phases.size()); ++i)
        declared +=
            static_cast<double>(maker_of(schedule).waiting_steps(schedule, i, phases[i].steps));
      REQUIRE(declared == Approx(latency));
    }
}

TEST_CASE("the optimal number of segments is the best one when each costs a latency") {
  for (const Algorithm algorithm : {Algorithm::chain, Algorithm::double_tree})
    for (const Operation operation : {Operation::all_reduce, Operation::broadcast})
      for (const int ranks : {3, 8, 33, 1000})
        for (const std::uint64_t size : {0, 1, 1000, 1 << 20, 1 << 26}) {
          Schedule schedule{operation, algorithm, ranks};
          const auto time = [&](int segments) {
            schedule.segments = segments;
            return (closed_form_time(schedule, {size}, hop) + segments * hop.latency).value;
          };
          double best = time(1);
          for (int m = 2; m < 3000; m += 1 + m / 20) best = std::min(best, time(m));
          const int segments = optimal_segments(schedule, {size}, hop);
          INFO(text_of(schedule) << ", " << size << " bytes, " << segments << " segments");
          CHECK(time(segments) <= 1.02 * best + 2 * hop.latency.value);
        }
  CHECK(optimal_segments({Operation::all_reduce, Algorithm::ring, 8}, mebibytes(64), hop) == 1);
}

TEST_CASE("every schedule can be cut into its optimal number of segments") {
  for (const int ranks : {1, 2, 6, 8})
    for (Schedule schedule : schedules_of(ranks)) {
      INFO(text_of(schedule));
      schedule.segments = optimal_segments(schedule, mebibytes(64), hop);
      CHECK(why_not(schedule) == "");
    }
}

TEST_CASE("closed forms of eight ranks and 8 MB are those worked out by hand") {
  // alpha = 3 us, n beta = 8e6 / 50e9 = 160 us.
  const auto time = [](Operation operation, Algorithm algorithm, int inner = 1) {
    const Schedule schedule{operation, algorithm, 8, 1, inner};
    return in_microseconds(closed_form_time(schedule, bytes(8'000'000), hop));
  };
  // 14 steps of 3 + 160/8
  CHECK(time(Operation::all_reduce, Algorithm::ring) == Approx(14 * 23));
  CHECK(time(Operation::all_gather, Algorithm::ring) == Approx(7 * 23));
  // 32 segments of 160/32 in 38 steps, 7 hops of 3
  CHECK(time(Operation::broadcast, Algorithm::ring) == Approx(38 * 5 + 7 * 3));
  // 6 steps of 3 + 160
  CHECK(time(Operation::all_reduce, Algorithm::binomial_tree) == Approx(6 * 163));
  // 6 steps; twice 80 + 40 + 20
  CHECK(time(Operation::all_reduce, Algorithm::halving_doubling) == Approx(6 * 3 + 2 * 140));
  // two nodes of four: twice (3 steps of 3 + 40 and one of 3 + 20)
  CHECK(time(Operation::all_reduce, Algorithm::hierarchical, 4) == Approx(2 * (3 * 43 + 23)));
  // 3 steps of 3 + 160; 2 x 3 steps as halving-doubling; 3 steps of 3 + 20, 40, 80
  CHECK(time(Operation::all_reduce, Algorithm::recursive_doubling) == Approx(3 * 163));
  CHECK(time(Operation::all_reduce, Algorithm::swing) == Approx(6 * 3 + 2 * 140));
  CHECK(time(Operation::all_gather, Algorithm::bruck) == Approx(3 * 3 + 140));
  CHECK(time(Operation::all_gather, Algorithm::pat) == Approx(3 * 3 + 140));
  // 3 steps of half of the row
  CHECK(time(Operation::all_to_all, Algorithm::bruck) == Approx(3 * 83));
  CHECK(time(Operation::all_to_all, Algorithm::pairwise) == Approx(3 + 140));
  CHECK(time(Operation::all_reduce, Algorithm::one_shot) == Approx(3 + 7 * 160));
  // two nodes of four: 3 x 2 blocks of 20 inside, 4 across
  CHECK(time(Operation::all_to_all, Algorithm::hierarchical, 4) == Approx(2 * 3 + 10 * 20));
  // 7 hops there and back of the whole buffer; trees of height 3 of two halves
  CHECK(time(Operation::all_reduce, Algorithm::chain) == Approx(14 * 163));
  CHECK(time(Operation::all_reduce, Algorithm::double_tree) == Approx(6 * 3 + 2 * 3 * 160));
  CHECK(time(Operation::reduce, Algorithm::binomial_tree) == Approx(3 * 163));
  CHECK(time(Operation::reduce, Algorithm::direct) == Approx(3 + 7 * 160));
  // two steps of 3 + 7 x 20
  CHECK(time(Operation::all_reduce, Algorithm::direct) == Approx(2 * 143));
  CHECK(time(Operation::all_to_all, Algorithm::direct) == Approx(143));
  CHECK(time(Operation::send, Algorithm::direct) == Approx(163));
}

TEST_CASE("doubling the bandwidth halves the byte term") {
  const Hop twice{hop.latency, 2 * hop.bandwidth};
  const Hop latency_only{hop.latency, bytes_per_second(1e30)};
  for (const int ranks : {2, 5, 8, 12})
    for (const Schedule& schedule : schedules_of(ranks)) {
      INFO(text_of(schedule));
      const Bytes size = mebibytes(64);
      const Seconds latency = closed_form_time(schedule, size, latency_only);
      const Seconds once = closed_form_time(schedule, size, hop) - latency;
      const Seconds half = closed_form_time(schedule, size, twice) - latency;
      CHECK(half.value == Approx(once.value / 2).epsilon(1e-12));
    }
}

TEST_CASE("no schedule beats the bandwidth bound of its operation") {
  // Every rank's hop must carry factor x n bytes out or in, but for the one that sends to one.
  for (int ranks = 2; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      INFO(text_of(schedule));
      const Bytes size{std::uint64_t{1} << 30};
      const double bound =
          bus_bandwidth_factor(schedule.operation, ranks) * (size / no_latency.bandwidth).value;
      CHECK(closed_form_time(schedule, size, no_latency).value >= bound * (1 - 1e-12));
    }
}

TEST_CASE("no schedule but those that send to all at once beats the latency bound") {
  for (int ranks = 2; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      const Algorithm algorithm = schedule.algorithm;
      const bool at_once = algorithm == Algorithm::direct || algorithm == Algorithm::one_shot ||
                           algorithm == Algorithm::pairwise;
      const bool two_level =
          algorithm == Algorithm::hierarchical && schedule.operation == Operation::all_to_all;
      if (at_once || two_level) continue;
      INFO(text_of(schedule));
      const int log = std::bit_width(static_cast<unsigned>(ranks - 1));
      CHECK(closed_form_time(schedule, bytes(0), hop).value >=
            (log * hop.latency).value * 0.999999);
    }
}

TEST_CASE("the bus bandwidth of an idle ring tends to the bandwidth of its hops") {
  for (const Operation operation :
       {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather})
    for (const int ranks : {2, 8, 100, 4096}) {
      const Schedule ring{operation, Algorithm::ring, ranks};
      const auto busbw = [&](Bytes size) {
        const Bandwidth algorithm = size / closed_form_time(ring, size, hop);
        return bus_bandwidth_factor(operation, ranks) * algorithm / hop.bandwidth;
      };
      CHECK(busbw(bytes(std::uint64_t{1} << 46)) == Approx(1).epsilon(1e-3));
      CHECK(busbw(mebibytes(1)) < busbw(mebibytes(64)));
      CHECK(busbw(mebibytes(64)) < 1);
    }
}

TEST_CASE("bus bandwidth factors are those of nccl-tests") {
  CHECK(bus_bandwidth_factor(Operation::all_reduce, 8) == Approx(1.75));
  CHECK(bus_bandwidth_factor(Operation::all_gather, 8) == Approx(0.875));
  CHECK(bus_bandwidth_factor(Operation::reduce_scatter, 8) == Approx(0.875));
  CHECK(bus_bandwidth_factor(Operation::all_to_all, 8) == Approx(0.875));
  CHECK(bus_bandwidth_factor(Operation::broadcast, 8) == 1);
  CHECK(bus_bandwidth_factor(Operation::reduce, 8) == 1);
  CHECK(bus_bandwidth_factor(Operation::send, 8) == 1);
  CHECK(bus_bandwidth_factor(Operation::all_reduce, 1) == 0);
}
