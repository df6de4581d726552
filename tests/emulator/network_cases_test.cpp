// Networks of which the answer can be had by hand.
#include <catch2/catch.hpp>
#include <limits>

#include "emulator/network.hpp"
#include "tests/emulator/star.hpp"

using namespace railwright;
using namespace railwright::emulator;
using topology::LinkId;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const topology::Calibration none;

}  // namespace

TEST_CASE("a lone transfer takes bytes over the slowest of capacity / share, rounded up") {
  const auto graph = star(2, gigabytes_per_second(3));
  Network network(graph, none);
  // 1000 B at 3 GB/s: 333,333.3.. ps
  const TransferId id = network.start(between(graph, 0, 1, 1000), {5});
  CHECK(network.rate(id) == 3e9);
  REQUIRE(network.next_end() == Instant{5 + 333'334});
  CHECK(network.advance_to({5 + 333'334}) == std::vector<TransferId>{id});
  CHECK(network.rate(id) == 0);
  REQUIRE(network.pieces(id).size() == 1);
  CHECK(network.pieces(id)[0].end == Instant{5 + 333'334});
  CHECK(network.pieces(id)[0].link == std::min(up(graph, 0), down(graph, 1)));
  CHECK_FALSE(network.next_end());
}

TEST_CASE("a transfer without bytes, or without links and cap, ends at once") {
  const auto graph = star(2, gigabytes_per_second(3));
  Network network(graph, none);
  const TransferId empty = network.start(between(graph, 0, 1, 0), {7});
  const TransferId free = network.start({{}, 100}, {7});
  const TransferId capped = network.start({{}, 100, 1, 1e9}, {7});
  CHECK(network.next_end() == Instant{7});
  CHECK(network.advance_to({7}) == std::vector<TransferId>{empty, free});
  CHECK(network.next_end() == Instant{7 + 100'000});
  CHECK(network.advance_to({7 + 100'000}) == std::vector<TransferId>{capped});
  CHECK(network.pieces(capped)[0].link == LinkId{-1});
}

// 1000 B each at 1 GB/s from one source: 0.5 GB/s each. The first one is slowed threefold from 0.6
// us on, when it has moved 300 B, and freed at 1.2 us: 100 B more. The second one ends at 2 us as
// if nothing were, the first one has 800 B by then and 200 B more at 1 GB/s until 2.2 us.
TEST_CASE("a transfer that is slowed takes longer, and its neighbours do not feel it") {
  const auto graph = star(3, gigabytes_per_second(1));
  Network network(graph, none);
  const TransferId slowed = network.start(between(graph, 0, 1, 1000), {0});
  const TransferId other = network.start(between(graph, 0, 2, 1000), {0});
  network.slow(slowed, 3, {600'000});
  CHECK(network.rate(other) == 0.5e9);
  CHECK(network.next_end() == Instant{2'000'000});
  network.slow(slowed, 1, {1'200'000});
  CHECK(network.use_of(up(graph, 0)).bytes == Approx(300 + 100 + 600));
  CHECK(network.next_end() == Instant{2'000'000});
  CHECK(network.advance_to({2'000'000}) == std::vector<TransferId>{other});
  CHECK(network.rate(slowed) == 1e9);
  REQUIRE(network.next_end() == Instant{2'200'000});
  CHECK(network.advance_to({2'200'000}) == std::vector<TransferId>{slowed});
  network.slow(slowed, 2, {2'200'000});  // too late
  CHECK_FALSE(network.next_end());
  CHECK(network.use_of(up(graph, 0)).bytes == Approx(2000));
  CHECK(network.use_of(up(graph, 0)).busy_seconds == Approx(2.2e-6));
  // The link is not to blame for what slows transfers: 2 us each, less 2/3 of 0.6 us, and 0.2 us.
  CHECK(network.use_of(up(graph, 0)).limiting_seconds == Approx(2e-6 + 2e-6 - 0.4e-6 + 0.2e-6));
  const auto pieces = network.pieces(slowed);
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[0].end == Instant{600'000});
  CHECK(pieces[1].slowdown == 3);
  CHECK(pieces[1].end == Instant{1'200'000});
  CHECK(pieces[2].slowdown == 1);
  CHECK(network.violation().empty());
}

// SimGrid's teshsuite/models/cm02-set-lat-bw shares like this; numbers by hand.
TEST_CASE("two transfers share a link until one ends, then the other has it alone") {
  const auto graph = star(3, gigabytes_per_second(1));
  Network network(graph, none);
  const TransferId small = network.start(between(graph, 0, 2, 1000), {0});
  const TransferId large = network.start(between(graph, 1, 2, 3000), {0});
  // Half a GB/s each: the small one ends after 2 us; 2000 B are left for 2 us alone.
  CHECK(network.next_end() == Instant{2'000'000});
  CHECK(network.advance_to({2'000'000}) == std::vector<TransferId>{small});
  CHECK(network.next_end() == Instant{4'000'000});
  CHECK(network.advance_to({4'000'000}) == std::vector<TransferId>{large});
  // Shared: the down link. Alone: up(1) and down(2) bind together, the lower is named.
  const auto& pieces = network.pieces(large);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].link == down(graph, 2));
  CHECK(pieces[0].end == Instant{2'000'000});
  CHECK(pieces[1].link == std::min(up(graph, 1), down(graph, 2)));
  CHECK(network.use_of(down(graph, 2)).bytes == 4000);
  CHECK(network.use_of(down(graph, 2)).busy_seconds == Approx(4e-6));
  CHECK(network.use_of(up(graph, 0)).busy_seconds == Approx(2e-6));
}

TEST_CASE("a link that slows down stretches what is left, and gives the time back when healed") {
  const auto graph = star(2, gigabytes_per_second(1));
  Network network(graph, none);
  const TransferId id = network.start(between(graph, 0, 1, 3000), {0});
  network.scale_capacity(down(graph, 1), 0.25, {1'000'000});  // 1000 B moved
  CHECK(network.next_end() == Instant{9'000'000});            // 2000 B at 0.25 GB/s
  network.scale_capacity(down(graph, 1), 1, {5'000'000});     // 1000 B more
  CHECK(network.next_end() == Instant{6'000'000});
  network.advance_to({6'000'000});
  REQUIRE(network.pieces(id).size() >= 2);
  CHECK(network.pieces(id)[1].link == down(graph, 1));
}

TEST_CASE("an endless flow takes its share for ever and never ends") {
  const auto graph = star(3, gigabytes_per_second(2));
  Network network(graph, none);
  network.start(between(graph, 0, 2, infinity), {0});
  CHECK_FALSE(network.next_end());
  network.start(between(graph, 1, 2, 1000), {1'000'000});
  CHECK(network.next_end() == Instant{2'000'000});
  network.advance_to({2'000'000});
  CHECK(network.use_of(up(graph, 0)).bytes == Approx(2000 + 1000));
}

TEST_CASE("raw capacities ignore the calibration, effective ones follow it") {
  auto graph = star(2, gigabytes_per_second(8));
  graph.classes[0].kind = "wire-1";
  topology::Calibration calibration;
  topology::CalibrationEntry half;
  half.subject = "wire-1";
  half.parameter = "link_efficiency";
  half.value = 0.5;
  calibration.entries.push_back(half);
  Network effective(graph, calibration), raw(graph, calibration, true);
  CHECK(effective.rate(effective.start(between(graph, 0, 1, 1), {0})) == Approx(4e9));
  CHECK(raw.rate(raw.start(between(graph, 0, 1, 1), {0})) == Approx(8e9));
  CHECK(effective.capacity_of(up(graph, 0)) == Approx(4e9));
}

// ASTRA-sim's unit tests of its congestion-aware backend (network/analytical): 1 MiB over links of
// 50 "GB/s" of 2^30 bytes, 500 ns a hop, every hop cut off to whole nanoseconds. A hop takes
// 500 + 2^20 / (50 x 2^30) s = 500 + 19,531.25 ns.
TEST_CASE("hop by hop a chunk takes ASTRA-sim's time") {
  const auto graph = star(2, bytes_per_second(50 * 1024.0 * 1024 * 1024));
  const auto hop = [&](Network& network, LinkId link, std::int64_t start) {
    const TransferId id = network.start({{{link}}, 1 << 20}, {start});
    const Instant end = *network.next_end();
    CHECK(network.advance_to(end) == std::vector<TransferId>{id});
    return (end.picoseconds - start) / 1000 + 500;
  };
  Network network(graph, none);
  std::int64_t ring = 0, crossbar = 0;
  for (int i = 0; i < 3; ++i) ring += hop(network, up(graph, 0), ring * 1000);
  CHECK(ring == 60'093);  // three hops
  for (int i = 0; i < 2; ++i) crossbar += hop(network, down(graph, 1), (ring + crossbar) * 1000);
  CHECK(crossbar == 40'062);  // up and down
}

// The same backend: all pairs of a ring of 16 exchange a chunk, the shorter way round, 8 hops
// clockwise. A clockwise link carries 1 + 2 + .. + 8 = 36 chunks; the published 704,116 ns are 36
// times 19,531 and two latencies. Shared evenly all that crosses it ends together, after 36 times
// 19,531.25 ns; what goes the other way has 28 chunks a link.
TEST_CASE("all pairs of a ring take as long as the chunks of the busiest link") {
  topology::GraphBuilder builder;
  topology::LinkClass wire;
  wire.name = "wire";
  wire.capacity = bytes_per_second(50 * 1024.0 * 1024 * 1024);
  const auto id = builder.add_class(wire);
  builder.add_block(topology::VertexKind::accelerator, "npu{}", {16});
  for (int i = 0; i < 16; ++i) builder.add_duplex({i}, {(i + 1) % 16}, id);
  const auto graph = std::move(builder).build();
  Network network(graph, none);
  for (int source = 0; source < 16; ++source)
    for (int distance = 1; distance < 16; ++distance) {
      const int turn = distance <= 8 ? 1 : 15;
      Transfer transfer{{}, 1 << 20};
      for (int at = source; at != (source + distance) % 16; at = (at + turn) % 16)
        transfer.consumption.push_back({*graph.link_between({at}, {(at + turn) % 16})});
      network.start(std::move(transfer), {0});
    }
  CHECK(network.next_end() == Instant{28 * 19'531'250});
  CHECK(network.advance_to({28 * 19'531'250}).size() == 16 * 7);
  CHECK(network.next_end() == Instant{36 * 19'531'250});
  CHECK(network.advance_to({36 * 19'531'250}).size() == 16 * 8);
}
