// Cases that other simulators publish, told in their conventions, with their answers. More of them
// stand beside what they test, in solver_test, network_test and collective_test.
//
// Not expressible: SimGrid's non-linear links (capacity as a function of the number of flows), its
// SMPI factors by message size, and shares that change under way (a transfer keeps the share that
// it starts with; below, one ends and its rest starts anew). ASTRA-sim's reduction and endpoint
// times are added by hand: here a reduction takes no time of its own.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "emulator/collective.hpp"
#include "tests/emulator/star.hpp"

using namespace railwright;
using namespace railwright::emulator;
using topology::LinkId;

namespace {

const topology::Calibration none;

topology::Cluster cluster_of(const std::string& text) {
  auto cluster = topology::parse_cluster(text, "published.yaml").and_then([](auto spec) {
    return topology::build_cluster(std::move(spec));
  });
  if (!cluster) FAIL(to_string(cluster.error()));
  return *cluster;
}

double seconds_of(Instant at) { return in_seconds({at.picoseconds}).value; }

// 64 NPUs in three dimensions: pairs at 200 GiB/s and 50 ns, full meshes of 8 at 100 GiB/s and
// 500 ns, switches of 4 at 50 GiB/s and 2,000 ns. NPU x + 2 y + 16 z.
topology::Cluster three_dimensions() {
  std::string text = R"(
schema_version: 1
name: three-dimensions
link_classes:
  pair: {bandwidth: 200 GiB/s, latency: 50 ns}
  mesh: {bandwidth: 100 GiB/s, latency: 500 ns}
  port: {bandwidth: 50 GiB/s, latency: 2 us}
nodes:
  - {name: npu, accelerator: h100-sxm5-80gb, accelerators: 64}
switches:
)";
  for (int plane = 0; plane < 16; ++plane) text += fmt::format("  - {{name: switch{}}}\n", plane);
  text += "links:\n";
  const auto link = [&text](int from, const std::string& to, const char* kind) {
    text += fmt::format("  - {{from: npu0/gpu{}, to: {}, link: {}}}\n", from, to, kind);
  };
  for (int z = 0; z < 4; ++z)
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 2; ++x) {
        const int npu = x + 2 * y + 16 * z;
        if (x == 0) link(npu, fmt::format("npu0/gpu{}", npu + 1), "pair");
        for (int other = y + 1; other < 8; ++other)
          link(npu, fmt::format("npu0/gpu{}", x + 2 * other + 16 * z), "mesh");
        link(npu, fmt::format("switch{}", x + 2 * y), "port");
      }
  return cluster_of(text + "routing: {mode: shortest_path}\n");
}

}  // namespace

// ASTRA-sim's analytical network (astra-network-analytical/test, congestion-unaware, three
// dimensions): 1 MiB, "GB/s" of 2^30 bytes, whole nanoseconds: hops x latency + 2^20 / bandwidth.
TEST_CASE("one transfer takes ASTRA-sim's time in each of three dimensions") {
  const auto cluster = three_dimensions();
  const topology::Router router(cluster);
  const auto nanoseconds = [&](int source, int target) {
    CollectiveRun run;
    run.schedule = {collectives::Operation::send, collectives::Algorithm::direct, 2};
    run.size = mebibytes(1);
    run.detail = Detail::steps;
    run.members = {{source}, {target}};
    return emulate_collective(run, router, none).time.count / 1000;
  };
  CHECK(nanoseconds(0, 1) == 4'932);     // 50 + 4,882.8: the pair
  CHECK(nanoseconds(37, 41) == 10'265);  // 500 + 9,765.6: the full mesh, y 2 -> 4
  CHECK(nanoseconds(26, 42) == 23'531);  // 2 x 2,000 + 19,531.25: the switch, z 1 -> 2
}

// ASTRA-sim's tests/rt_template: all-reduce of 1 MiB on a ring of 8 at 50 "GB/s" and 500 ns in 4
// splits, one after the other: 117,780 ns = 4 x (14 x 1,110 + 21 x 655 + 15 x 10). 14 steps of
// 500 + 32,768 / 53.687 ns cut to whole nanoseconds; the rest, three passes through local memory
// in each of 7 reducing steps and 15 endpoint delays, is not the network's.
TEST_CASE("an all-reduce takes ASTRA-sim's time on a ring of eight") {
  const auto cluster = cluster_of(R"(
schema_version: 1
name: ring
link_classes:
  wire: {bandwidth: 50 GiB/s, latency: 500 ns}
nodes:
  - {name: npu, accelerator: h100-sxm5-80gb, accelerators: 8, scale_up: {shape: ring, link: wire}}
)");
  const topology::Router router(cluster);
  CollectiveRun run;
  run.schedule = {collectives::Operation::all_reduce, collectives::Algorithm::ring, 8};
  run.size = kibibytes(256);
  for (int i = 0; i < 8; ++i) run.members.push_back({i});
  for (const Detail detail : {Detail::steps, Detail::phases}) {
    run.detail = detail;
    const std::int64_t split = emulate_collective(run, router, none).time.count;
    const std::int64_t whole = 4 * (split + (21 * 655 + 15 * 10) * 1000);
    CHECK(whole >= 117'780'000);                  // what they cut off
    CHECK(whole <= 117'780'000 + 4 * 14 * 1000);  // less than a nanosecond a step
  }
}

// SimGrid's teshsuite/models/cm02-tcpgamma: 1e10 bytes over 1e10 bytes/s. A flow is held to
// gamma / (2 latency), gamma = 4,194,304 bytes; the latency comes on top.
TEST_CASE("a window holds a flow to SimGrid's rates") {
  const auto graph = star(2, bytes_per_second(1e10));
  const auto seconds = [&](double latency, double gamma) {
    Network network(graph, none);
    Transfer transfer{{{up(graph, 0)}, {down(graph, 1)}}, 1e10};
    if (latency > 0 && gamma > 0) transfer.cap = gamma / (2 * latency);
    network.start(transfer, {0});
    return latency + seconds_of(*network.next_end());
  };
  const double gamma = 4'194'304;
  CHECK(seconds(0, gamma) == Approx(1).margin(2e-12));
  CHECK(seconds(1e-5, gamma) == Approx(1.000010).margin(5e-7));
  CHECK(seconds(1e-3, gamma) == Approx(4.769372).margin(5e-7));
  CHECK(seconds(0.1, gamma) == Approx(476.937158).margin(5e-7));
  CHECK(seconds(1e-3, 0) == Approx(1.001).margin(5e-7));
}

// SimGrid's docs/source/Models.rst: LV08 sends 100 kB over 1 Mb/s and 10 ms with 0.97 of the
// bandwidth, 13.01 times the latency and, for the acknowledgements, 1.05 of the traffic.
TEST_CASE("one flow takes the time of SimGrid's LV08 when told its factors") {
  const auto graph = star(2, bytes_per_second(0.97 * 1e6 / 8));
  Network network(graph, none);
  network.start({{{up(graph, 0), 1.05}, {down(graph, 1), 1.05}}, 100e3}, {0});
  CHECK(0.01 * 13.01 + seconds_of(*network.next_end()) == Approx(0.996079).margin(5e-7));
}

// SimGrid's teshsuite/models/cm02-set-lat-bw: flows A and B of 1,000 bytes share 1,000 bytes/s by
// 1 / weight, the weight being latencies + 20,537 / bandwidths of the route: 20.537 for both. After
// a second something happens to B's last link. What is left then starts anew with its new share.
TEST_CASE("two flows on a dog bone take SimGrid's times when one of them grows heavier") {
  const auto graph = star(2, bytes_per_second(1000));
  const std::vector<topology::LinkShare> bone{{up(graph, 0)}};
  const auto ends = [&](double weight_of_b) {
    Network network(graph, none);
    for (int flow = 0; flow < 2; ++flow) network.start({bone, 500, 1 / 20.537}, {0});
    const Instant second = *network.next_end();
    REQUIRE(network.advance_to(second).size() == 2);
    CHECK(seconds_of(second) == Approx(1).margin(2e-12));
    network.start({bone, 500, 1 / 20.537}, second);
    network.start({bone, 500, 1 / weight_of_b}, second);
    const Instant a = *network.next_end();
    network.advance_to(a);
    return std::pair(seconds_of(a), seconds_of(*network.next_end()));
  };
  // Latency 20 s: weight 40.537, A gets 40.537 / 61.074 of the link.
  CHECK(ends(40.537).first == Approx(1.753312).margin(5e-7));
  CHECK(ends(40.537).second == Approx(2).margin(5e-7));
  // Bandwidth 1,000 bytes/s: weight 41.074, A gets 2 / 3.
  CHECK(ends(41.074).first == Approx(1.75).margin(5e-7));
  CHECK(ends(41.074).second == Approx(2).margin(5e-7));
}
