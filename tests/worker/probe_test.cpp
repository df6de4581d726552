#include "worker/probe/probe.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/worker/ranks.hpp"

namespace railwright::worker {
namespace {

TEST_CASE("the pairs of a round have no rank in common") {
  for (int ranks = 1; ranks <= 40; ++ranks)
    for (const bool all : {false, true})
      for (const auto& round : rounds_of(ranks, all)) {
        std::set<int> seen;
        for (const auto& [a, b] : round) {
          REQUIRE(a >= 0);
          REQUIRE(a < b);
          REQUIRE(b < ranks);
          REQUIRE(seen.insert(a).second);
          REQUIRE(seen.insert(b).second);
        }
      }
}

TEST_CASE("all pairs come once in ranks - 1 rounds, the few in log2 rounds join everybody") {
  for (int ranks = 2; ranks <= 40; ++ranks) {
    std::set<RankPair> pairs;
    const auto all = rounds_of(ranks, true);
    for (const auto& round : all)
      for (const RankPair& pair : round) REQUIRE(pairs.insert(pair).second);
    REQUIRE(pairs.size() == static_cast<std::size_t>(ranks * (ranks - 1) / 2));
    REQUIRE(static_cast<int>(all.size()) == ranks - 1 + ranks % 2);

    const auto few = rounds_of(ranks, false);
    REQUIRE((1 << few.size()) >= ranks);
    REQUIRE((1 << few.size()) < 2 * ranks);
    std::set<int> joined = {0};
    for (std::size_t pass = 0; pass < few.size(); ++pass)
      for (const auto& round : few)
        for (const auto& [a, b] : round)
          if (joined.contains(a) || joined.contains(b)) joined.insert({a, b});
    REQUIRE(static_cast<int>(joined.size()) == ranks);
  }
}

// Pairs of all rounds, 1 GB/s and 10 us each; `slow` ones at a fifth.
std::vector<PairRecord> measured(int ranks, bool all, const std::function<bool(int, int)>& slow) {
  std::vector<PairRecord> pairs;
  for (const auto& round : rounds_of(ranks, all))
    for (const auto& [a, b] : round) {
      PairRecord pair{
          a,  b, false, microseconds(10), gigabytes_per_second(1), gigabytes_per_second(1.1),
          {}, {}};
      if (slow(a, b)) pair.back = gigabytes_per_second(0.2);
      pairs.push_back(pair);
    }
  return pairs;
}

std::vector<std::string> hosts_of(int ranks, int per_host) {
  std::vector<std::string> hosts;
  for (int rank = 0; rank < ranks; ++rank)
    hosts.push_back("node" + std::to_string(rank / per_host));
  return hosts;
}

TEST_CASE("nothing is suspect where all pairs are alike, however slow") {
  CHECK(suspects_of(measured(8, true, [](int, int) { return true; }), hosts_of(8, 2), 2).empty());
  CHECK(suspects_of(measured(8, false, [](int, int) { return false; }), hosts_of(8, 2), 2).empty());
}

TEST_CASE("a slow pair is named, also by one of its directions, and nobody else") {
  for (const bool all : {false, true}) {
    const auto suspects = suspects_of(
        measured(8, all, [](int a, int b) { return a == 2 && b == 6; }), hosts_of(8, 2), 2);
    REQUIRE(suspects.size() == 1);
    CHECK(suspects[0].what == Suspect::What::pair);
    CHECK(suspects[0].ranks == std::vector{2, 6});
    CHECK(suspects[0].measure == "bandwidth");
    CHECK(suspects[0].slower == Approx(5));
  }
}

TEST_CASE("a rank all of whose pairs are slow is named instead of them, and so is a host") {
  for (const bool all : {false, true}) {
    const auto one = suspects_of(measured(8, all, [](int a, int b) { return a == 3 || b == 3; }),
                                 hosts_of(8, 2), 2);
    REQUIRE(one.size() == 1);
    CHECK(one[0].what == Suspect::What::rank);
    CHECK(one[0].ranks == std::vector{3});
    const auto two =
        suspects_of(measured(16, all, [](int a, int b) { return a / 2 == 3 || b / 2 == 3; }),
                    hosts_of(16, 2), 2);
    REQUIRE(two.size() == 1);
    CHECK(two[0].what == Suspect::What::host);
    CHECK(two[0].ranks == std::vector{6, 7});
  }
}

TEST_CASE("what is expected to be slower is not suspect, what is not as fast as expected is") {
  auto pairs = measured(8, true, [](int, int) { return false; });
  for (PairRecord& pair : pairs) {
    const bool far = pair.a / 4 != pair.b / 4;
    pair.expected = gigabytes_per_second(far ? 0.1 : 1);
    if (far) pair.there = pair.back = gigabytes_per_second(0.1);
  }
  CHECK(suspects_of(pairs, hosts_of(8, 4), 2).empty());
  pairs[0].there = gigabytes_per_second(0.01);
  const auto suspects = suspects_of(pairs, hosts_of(8, 4), 2);
  REQUIRE(suspects.size() == 1);
  CHECK(suspects[0].ranks == std::vector{pairs[0].a, pairs[0].b});
}

TEST_CASE("the cluster file that is written reads back as what was found") {
  const std::string path =
      std::filesystem::temp_directory_path() / ("railwright_probed_" + std::to_string(getpid()));
  for (const int per_host : {1, 2, 4, 8}) {
    auto pairs = measured(8, true, [](int, int) { return false; });
    std::vector<int> machine_of;
    for (int rank = 0; rank < 8; ++rank) machine_of.push_back(rank / per_host);
    for (PairRecord& pair : pairs) {
      pair.inside = machine_of[pair.a] == machine_of[pair.b];
      if (pair.inside) pair.latency = microseconds(1);
    }
    std::ofstream(path) << cluster_text(pairs, machine_of, hosts_of(8, per_host), "cpu-core");
    const auto cluster = topology::load_cluster(path);
    std::filesystem::remove(path);
    if (!cluster) FAIL(to_string(cluster.error()));
    CHECK(cluster->accelerators() == 8);
    for (int rank = 0; rank < 8; ++rank)
      CHECK(cluster->host_of({rank}) == "node" + std::to_string(rank / per_host));
    const topology::Router router(*cluster);
    const auto route = router.between({0}, {7});
    double latency = 0;
    for (const auto& share : route.links)
      latency += cluster->graph.class_of(share.link).latency.value;
    CHECK(latency == Approx(per_host == 8 ? 1e-6 : 1e-5));
    CHECK(cluster->graph.capacity(route.links.front().link).bytes_per_second == Approx(1.1e9));
  }
}

TEST_CASE("throttles are read and slow exactly their pair down") {
  CHECK(parse_throttle("0:2=50MB/s") == Throttle{0, 2, gigabytes_per_second(0.05)});
  for (const char* text :
       {"", "0:2", "0=1GB/s", "0:0=1GB/s", "a:1=1GB/s", "0:1=fast", "-1:0=1GB/s"})
    CHECK_FALSE(parse_throttle(text));
  CHECK(why_not_throttle({{0, 5, {}}}, 5).size() == 1);
  // 100 KB over 10 MB/s: 10 ms between ranks 0 and 1, nothing of the kind between 0 and 2.
  std::atomic<int> wrong = 0;
  on_ranks(3, [&](Transport& inner) {
    const auto transport = make_throttled_transport(inner, {{0, 1, gigabytes_per_second(0.01)}});
    std::vector<std::byte> buffer(100'000);
    const auto time = [&](int peer) {
      const auto start = std::chrono::steady_clock::now();
      const Request request = inner.rank() == 0 ? transport->post_send(peer, 1, buffer)
                                                : transport->post_receive(0, 1, buffer);
      wrong += transport->wait(request, within(20)).state != WaitState::done;
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    // The receiver may come late; the sender cannot be done early.
    const double slow = inner.rank() != 2 ? time(1) : 1;
    wrong += inner.rank() == 0 && slow < 0.01;
    if (inner.rank() != 1) time(2);
  });
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace railwright::worker
