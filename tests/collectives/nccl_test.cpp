#include "collectives/nccl.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <numeric>
#include <sstream>

#include "collectives/cost.hpp"

using namespace railwright;
using namespace railwright::collectives;
using nccl::Job;
using nccl::Platform;
using nccl::Protocol;

namespace {

using Way = nccl::Algorithm;

const Platform& platform(const char* name) {
  const Platform* found = nccl::platform_named(name);
  REQUIRE(found);
  return *found;
}
const Platform& one_dgx() { return platform("H100 1x8"); }
const Platform& dgx_pod() { return platform("H100 Nx8, 8 x 400 Gb/s"); }
// The machine of NVIDIA/nccl#1453.
const Platform& four_nics() { return platform("H100 Nx8, 4 x 400 Gb/s"); }

const nccl::Constants& version(const char* name) {
  const nccl::Constants* found = nccl::constants_for(name);
  REQUIRE(found);
  return *found;
}

Job all_reduce(Bytes size, int nodes) { return {Operation::all_reduce, size, 8 * nodes, nodes}; }

// As NCCL prints it.
std::string logged(const std::optional<nccl::Choice>& choice) {
  if (!choice) return "nothing";
  return fmt::format("Algo {} proto {} time {:.6f}", static_cast<int>(choice->algorithm),
                     static_cast<int>(choice->protocol), choice->microseconds);
}
std::string picked(const Platform& platform, const Job& job) {
  const auto choice = nccl::predict(nccl::newest_constants(), platform, job);
  return choice ? to_string(choice->algorithm) + "/" + to_string(choice->protocol) : "nothing";
}

void check_cost(const Platform& platform, const Job& job, Way way, Protocol protocol,
                double latency, double bandwidth) {
  INFO(to_string(way) << "/" << to_string(protocol));
  const auto cost = nccl::cost_of(nccl::newest_constants(), platform, job, way, protocol);
  REQUIRE(cost);
  CHECK(cost->latency == Approx(latency).margin(0.05));
  CHECK(cost->bandwidth == Approx(bandwidth).margin(0.05));
}

topology::Cluster cluster_named(const std::string& name) {
  auto cluster = topology::load_cluster(name);
  REQUIRE(cluster);
  return std::move(*cluster);
}
std::vector<topology::AcceleratorId> ranks_from(int first, int count) {
  std::vector<topology::AcceleratorId> members;
  for (int i = first; i < first + count; ++i) members.push_back({i});
  return members;
}

}  // namespace

TEST_CASE("NCCL 2.21 on 1024 ranks logs this time for a broadcast of 24 bytes") {
  // NVIDIA/nccl#1304. Ring/LL, other channels start at other ranks: base 6.6 + 1024 hops of 2.7,
  // and 24 B at the 20.4 GB/s that an Intel host allows LL across nodes.
  const Job job{Operation::broadcast, bytes(24), 1024, 128};
  CHECK(logged(nccl::predict(version("2.21"), dgx_pod(), job)) ==
        "Algo 1 proto 0 time 2771.401367");
}

TEST_CASE("three nodes of H100 with four NICs log these choices and times") {
  // NVIDIA/nccl#1453, 24 ranks. All digits, because the model is computed in single precision:
  // the last line is 1.4 (8.4 + 40 x 3.4 + 6 x 14) + 2^33 / (1000 x 192 x 24/46) = 86069.97594
  // exactly, and the nearest floats to it and its terms give 86069.968750.
  const std::pair<Bytes, const char*> lines[] = {
      {bytes(256), "Algo 0 proto 0 time 25.229528"},
      {bytes(512), "Algo 0 proto 0 time 25.259054"},
      {kibibytes(64), "Algo 0 proto 0 time 37.798233"},
      {kibibytes(128), "Algo 0 proto 1 time 51.603912"},
      {kibibytes(256), "Algo 0 proto 1 time 54.707825"},
      {kibibytes(512), "Algo 5 proto 2 time 59.553600"},
      {gibibytes(8), "Algo 1 proto 2 time 86069.968750"}};
  for (const auto& [size, line] : lines)
    CHECK(logged(nccl::predict(version("2.21"), four_nics(), all_reduce(size, 3))) == line);
}

TEST_CASE("the table of 4 x 8 H100 with 8 channels of 48 GB/s, 2.30") {
  // Latency: Ring 6.6 + 56 x max(0.6, 1.0 to post) + 6 x 2.7, and so on; Simple posts three times.
  // Bandwidth: Ring Simple 8 x 48 x 32/62; LL 20.4 x 32/62 (Intel); LL128 8 x 36.7 x 32/62;
  // Tree half of 20.4, 8 x 29 and 8 x 36.
  const Job job = all_reduce(mebibytes(1), 4);
  check_cost(dgx_pod(), job, Way::ring, Protocol::ll, 78.8, 10.5);
  check_cost(dgx_pod(), job, Way::ring, Protocol::ll128, 144.4, 151.5);
  check_cost(dgx_pod(), job, Way::ring, Protocol::simple, 282.8, 198.2);
  check_cost(dgx_pod(), job, Way::tree, Protocol::ll, 35.2, 10.2);
  check_cost(dgx_pod(), job, Way::tree, Protocol::ll128, 65.5, 116.0);
  check_cost(dgx_pod(), job, Way::tree, Protocol::simple, 120.4, 144.0);
}

TEST_CASE("4 x 8 H100 goes from trees to rings and from LL to Simple as messages grow") {
  const auto expected = [](Bytes size) {
    if (size < kibibytes(256)) return "Tree/LL";
    if (size < mebibytes(32)) return "Tree/LL128";
    return size < mebibytes(256) ? "Ring/LL128" : "Ring/Simple";
  };
  for (Bytes size = bytes(8); size <= gibibytes(16); size = 2 * size) {
    INFO(size.count);
    CHECK(picked(dgx_pod(), all_reduce(size, 4)) == expected(size));
  }
}

TEST_CASE("one DGX H100 without NVLS takes rings throughout, at 359.5 GB/s of bus bandwidth") {
  const auto expected = [](Bytes size) {
    if (size < mebibytes(4)) return "Ring/LL";
    return size < mebibytes(64) ? "Ring/LL128" : "Ring/Simple";
  };
  for (Bytes size = bytes(8); size <= gibibytes(16); size = 2 * size) {
    INFO(size.count);
    CHECK(picked(one_dgx(), all_reduce(size, 1)) == expected(size));
  }
  const Job job = all_reduce(gibibytes(8), 1);
  const auto choice = nccl::predict(nccl::newest_constants(), one_dgx(), job);
  const double busbw = in_gigabytes_per_second(job.size / choice->time()) * 2 * 7 / 8;
  CHECK(busbw == Approx(359.5).margin(0.05));
}

TEST_CASE("large rings across nodes meet the plateau, at 64 bytes per channel and rank") {
  const auto time = [&](std::uint64_t size) {
    return *nccl::predicted_microseconds(nccl::newest_constants(), dgx_pod(),
                                         all_reduce(bytes(size), 4), Way::ring, Protocol::simple);
  };
  const std::uint64_t first = 64 * 16 * 32;  // 16 channels, 32 ranks
  // One more byte costs 0.4 x 282.8 us.
  CHECK(time(first) - time(first - 1) == Approx(0.4 * 282.8).epsilon(1e-4));
}

TEST_CASE("without corrections time is the latency plus bytes over bandwidth, so it grows") {
  for (const nccl::Constants& constants : nccl::all_constants())
    for (const Operation operation :
         {Operation::all_gather, Operation::reduce_scatter, Operation::broadcast})
      for (Bytes size = bytes(8); size <= gibibytes(4); size = 4 * size) {
        const Job small{operation, size, 32, 4}, large{operation, 2 * size, 32, 4};
        const auto a = nccl::predict(constants, dgx_pod(), small);
        const auto b = nccl::predict(constants, dgx_pod(), large);
        REQUIRE((a && b));
        CHECK(a->microseconds <= b->microseconds);
      }
}

TEST_CASE("the choice is no dearer than any other pair, in every version and place") {
  for (const nccl::Constants& constants : nccl::all_constants())
    for (const Platform& platform : nccl::platforms())
      for (int nodes = platform.several_nodes ? 2 : 1; nodes <= (platform.several_nodes ? 64 : 1);
           nodes *= 2)
        for (Bytes size = bytes(1); size <= gibibytes(8); size = 8 * size) {
          const Job job = all_reduce(size, nodes);
          const auto choice = nccl::predict(constants, platform, job);
          REQUIRE(choice);
          for (std::size_t a = 0; a < nccl::algorithm_count; ++a)
            for (std::size_t p = 0; p < nccl::protocol_count; ++p) {
              const auto time = nccl::predicted_microseconds(
                  constants, platform, job, static_cast<Way>(a), static_cast<Protocol>(p));
              if (time) CHECK(choice->microseconds <= *time);
            }
        }
}

TEST_CASE("the first of equals wins, in NCCL's order") {
  // Ring and Tree with the same latency and no bandwidth to speak of: Tree comes first.
  nccl::Constants constants = nccl::newest_constants();
  constants.base_latency[0] = constants.base_latency[1] = {5.0f, 5.0f, 5.0f};
  for (auto* rows : {&constants.nvlink_latency, &constants.network_latency})
    (*rows)[0] = (*rows)[1] = {0.0f, 0.0f, 0.0f};
  for (auto& host : constants.hosts) host.network_overhead = 0;
  const auto choice = nccl::predict(constants, dgx_pod(), all_reduce(bytes(0), 4));
  REQUIRE(choice);
  CHECK(to_string(choice->algorithm) == "Tree");
  CHECK(to_string(choice->protocol) == "LL");
  CHECK(choice->microseconds == 5);
}

TEST_CASE("each operation has its algorithms") {
  const auto priced = [](Operation operation, Way way, const Platform& platform) {
    const Job job{operation, mebibytes(1), 32, 4};
    return nccl::cost_of(nccl::newest_constants(), platform, job, way, Protocol::simple)
        .has_value();
  };
  CHECK_FALSE(priced(Operation::broadcast, Way::tree, dgx_pod()));
  CHECK_FALSE(priced(Operation::all_gather, Way::tree, dgx_pod()));
  CHECK_FALSE(priced(Operation::all_to_all, Way::ring, dgx_pod()));
  CHECK_FALSE(priced(Operation::send, Way::ring, dgx_pod()));
  CHECK(priced(Operation::reduce_scatter, Way::ring, dgx_pod()));
  CHECK_FALSE(priced(Operation::all_reduce, Way::nvls_tree, dgx_pod()));  // NVLS is off
  CHECK(priced(Operation::all_reduce, Way::nvls_tree, four_nics()));
  CHECK_FALSE(priced(Operation::all_reduce, Way::nvls, four_nics()));  // no SHARP across nodes
}

TEST_CASE("PAT is for one GPU per node and came with 2.23") {
  // 8 + floor(log2 16) x 14 / 3.5 + 2.8 x 16; Tree's hop, as always with one GPU per node.
  const Job job{Operation::all_gather, mebibytes(1), 16, 16};
  check_cost(dgx_pod(), job, Way::pat, Protocol::simple, 8 + 4 * 4.0 + 44.8, 0.75 * 8 * 48);
  const auto old = nccl::cost_of(version("2.22"), dgx_pod(), job, Way::pat, Protocol::simple);
  CHECK_FALSE(old);
  CHECK_FALSE(nccl::cost_of(nccl::newest_constants(), dgx_pod(),
                            {Operation::all_gather, mebibytes(1), 32, 16}, Way::pat,
                            Protocol::simple));
}

TEST_CASE("NVLS in one node: the efficiency, and a channel's worth for the reduction") {
  Platform platform = one_dgx();
  platform.nvls = nccl::Graph{nccl::Pattern::nvls, 16, 20, 20};
  // 16 x 20 x 0.85 x 15/16 x 2 x 8/14
  check_cost(platform, all_reduce(gibibytes(1), 1), Way::nvls, Protocol::simple, 25,
             16 * 20 * 0.85 * 15 / 16 * 2 * 8 / 14);
  // An all-gather: 16 x 20 x 0.85 x 15/16 x 7/8, no share.
  check_cost(platform, {Operation::all_gather, gibibytes(1), 8, 1}, Way::nvls, Protocol::simple, 25,
             16 * 20 * 0.85 * 15 / 16 * 7 / 8);
  // Two nodes, NVLSTree: 25 + 2 x 20.9 us; min(31.9 inside, 2 x 10 between, 57.7) x 16 x 16/30.
  platform.nvls->inter = 10;
  check_cost(platform, all_reduce(gibibytes(1), 2), Way::nvls_tree, Protocol::simple, 66.8,
             16 * 20 * 16.0 / 30);
}

TEST_CASE("CollNet needs a network that reduces") {
  Platform platform = dgx_pod();
  platform.collnet_direct = nccl::Graph{nccl::Pattern::collnet, 4, 48, 48};
  platform.collnet_chain = nccl::Graph{nccl::Pattern::ring, 8, 48, 48};
  const Job job = all_reduce(mebibytes(1), 4);
  const auto cost = [&](Way way) {
    return nccl::cost_of(nccl::newest_constants(), platform, job, way, Protocol::simple);
  };
  CHECK_FALSE(cost(Way::collnet_direct));
  platform.collnet = true;
  // f = 8/4: bandwidth / (2 - 1/2) x 0.85 / 2; 2 (3.7 + 7 x 0.4) + 31 us.
  check_cost(platform, job, Way::collnet_direct, Protocol::simple, 44.0, 192 / 1.5 * 0.85 / 2);
  check_cost(platform, job, Way::collnet_chain, Protocol::simple, 2 * 7 * 2.8 + 30, 192);
  platform.nvswitch = false;
  CHECK_FALSE(cost(Way::collnet_direct));
}

TEST_CASE("LL128 needs short paths") {
  Platform platform = dgx_pod();
  const Job job = all_reduce(mebibytes(1), 4);
  platform.ring->inter_path = nccl::Path::pxn;
  CHECK_FALSE(nccl::cost_of(nccl::newest_constants(), platform, job, Way::ring, Protocol::ll128));
  platform = dgx_pod();
  platform.compute_capability = 60;
  CHECK_FALSE(nccl::cost_of(nccl::newest_constants(), platform, job, Way::ring, Protocol::ll128));
}

TEST_CASE("fp8 keeps large rings away, for every hop rounds") {
  Job job = all_reduce(gibibytes(1), 4);
  CHECK(picked(dgx_pod(), job) == "Ring/Simple");
  job.fp8 = true;
  CHECK(picked(dgx_pod(), job).starts_with("Tree/"));
}

TEST_CASE("versions: the newest file that is not newer") {
  CHECK(version("2.22.3").version == "2.21");
  CHECK(version("2.27").version == "2.25");
  CHECK(version("2.30.7").version == "2.30");
  CHECK(version("3.0").version == "2.30");
  CHECK(nccl::newest_constants().version == "2.30");
  CHECK(nccl::constants_for("2.9") == nullptr);
  for (const char* wrong : {"", "new", "2.", "2..3", "2.x", "-2"})
    CHECK(nccl::constants_for(wrong) == nullptr);
}

TEST_CASE("Blackwell's limits changed with nearly every release, and old ones do not know it") {
  const auto tree = [](const char* name) {
    Platform platform = dgx_pod();
    platform.compute_capability = 100;
    const auto cost = nccl::cost_of(version(name), platform, all_reduce(mebibytes(1), 4), Way::tree,
                                    Protocol::simple);
    return cost ? cost->bandwidth : 0;
  };
  CHECK(tree("2.23") == 0);
  CHECK(tree("2.25") == Approx(0.92 * 384 / 2));
  CHECK(tree("2.28") == Approx(8 * 24 / 2));
}

TEST_CASE("a described cluster is recognised by whole nodes of one known kind") {
  const topology::Cluster dgx = cluster_named("dgx-h100-4");
  const auto all = nccl::placement_of(dgx, ranks_from(0, 32));
  REQUIRE(all);
  CHECK(all->nodes == 4);
  CHECK(all->platform == &dgx_pod());
  const auto one = nccl::placement_of(dgx, ranks_from(8, 8));
  REQUIRE(one);
  CHECK(one->platform == &one_dgx());
  CHECK_FALSE(nccl::placement_of(dgx, ranks_from(0, 4)));
  CHECK_FALSE(nccl::placement_of(dgx, ranks_from(4, 8)));  // halves of two nodes
  CHECK_FALSE(nccl::placement_of(dgx, {}));
  auto order = ranks_from(0, 16);
  std::reverse(order.begin(), order.end());
  CHECK(nccl::placement_of(dgx, order)->nodes == 2);
}

TEST_CASE("other machines get no prediction") {
  for (const char* name : {"mi300x-node", "tpu-v4-4x4x8", "localhost", "gb200-nvl72"}) {
    const topology::Cluster cluster = cluster_named(name);
    INFO(name);
    CHECK_FALSE(nccl::placement_of(cluster, ranks_from(0, cluster.accelerators())));
  }
  // 200 Gb/s NICs: two nodes are unknown, one is an H100 node like any other.
  const topology::Cluster mixed = cluster_named("mixed-h100-a100");
  CHECK_FALSE(nccl::placement_of(mixed, ranks_from(0, 16)));
  CHECK_FALSE(nccl::placement_of(mixed, ranks_from(8, 16)));
  CHECK(nccl::placement_of(mixed, ranks_from(0, 8)));
}

TEST_CASE("every file of constants reads, and mistakes are named with their place") {
  CHECK(nccl::all_constants().size() == 7);
  for (const Platform& platform : nccl::platforms()) CHECK_FALSE(platform.source.empty());
  std::ifstream stream(std::string(RAILWRIGHT_SOURCE_DIR) + "/data/nccl/2.30.json");
  std::stringstream text;
  text << stream.rdbuf();
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string changed = text.str();
    const auto at = changed.find(from);
    REQUIRE(at != std::string::npos);
    const auto read = nccl::parse_constants(changed.replace(at, from.size(), to), "c.json");
    REQUIRE_FALSE(read);
    CHECK(read.error().front().place.line > 0);
    return read.error().front().message;
  };
  CHECK_THAT(broken("[6.8, 14, 8.4]", "[6.8, 14]"), Catch::Matchers::Contains("2 values"));
  CHECK_THAT(broken("\"2.30\"", "\"new\""), Catch::Matchers::Contains("no version"));
  CHECK_THAT(broken("\"plateau\"", "\"plato\""), Catch::Matchers::Contains("plat"));
}
