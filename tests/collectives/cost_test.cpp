#include "collectives/cost.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <map>

#include "collectives/proof.hpp"
#include "tests/collectives/groups.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

const Hop hop{microseconds(3), gigabytes_per_second(50)};
const Hop no_latency{{}, gigabytes_per_second(50)};

// Lock-step: every step takes the latency plus the largest load of any rank's hop in or out.
// Sizes count as if every range were as large as ranges of its chunk count can be.
Seconds lock_step_time(const Schedule& schedule, Bytes size, Hop hop) {
  std::map<std::pair<int, std::int64_t>, std::map<std::pair<bool, int>, double>> loads;
  const bool rows = schedule.operation == Operation::all_to_all;
  const auto chunks = static_cast<double>(rows ? schedule.ranks : chunk_count(schedule));
  for (const TimedSend& timed : all_sends(schedule)) {
    auto& step = loads[{timed.phase, timed.step}];
    const double bytes =
        std::ceil(static_cast<double>(timed.send.chunks.count * size.count) / chunks);
    step[{false, timed.send.source}] += bytes;
    step[{true, timed.send.target}] += bytes;
  }
  Seconds total;
  for (const auto& [moment, ranks] : loads) {
    double largest = 0;
    for (const auto& [end, bytes] : ranks) largest = std::max(largest, bytes);
    total += hop.latency + seconds(largest / hop.bandwidth.bytes_per_second);
  }
  // A chain sends on without waiting: latency shows on the way of the first segment alone.
  const bool chain = schedule.operation == Operation::broadcast &&
                     schedule.algorithm == Algorithm::ring && schedule.ranks > 1;
  if (!chain) return total;
  const auto steps = static_cast<double>(loads.size());
  return total - steps * hop.latency + (schedule.ranks - 1) * hop.latency;
}

}  // namespace

TEST_CASE("every closed form is the time of its sends in lock-step") {
  for (int ranks = 1; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      if (ranks > 17 && schedule.operation == Operation::broadcast) continue;
      for (const std::uint64_t size : {0, 1, 1000, 123'456'789}) {
        INFO(text_of(schedule) << ", " << size << " bytes");
        const double expected = lock_step_time(schedule, bytes(size), hop).value;
        const double time = closed_form_time(schedule, bytes(size), hop).value;
        // Chains in opposite directions fill and drain on different ranks: not at full load.
        if (schedule.operation == Operation::broadcast && schedule.channels > 1)
          REQUIRE((time >= expected * (1 - 1e-12) && time <= expected * 1.25));
        else
          REQUIRE(time == Approx(expected).epsilon(1e-12));
      }
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

TEST_CASE("no schedule but a direct one beats the latency bound of one message at a time") {
  for (int ranks = 2; ranks <= 33; ++ranks)
    for (const Schedule& schedule : schedules_of(ranks)) {
      if (schedule.algorithm == Algorithm::direct) continue;
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
  CHECK(bus_bandwidth_factor(Operation::send, 8) == 1);
  CHECK(bus_bandwidth_factor(Operation::all_reduce, 1) == 0);
}
