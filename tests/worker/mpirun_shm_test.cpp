// Shared memory, machines and probes with real processes.
#include <sys/statvfs.h>

#include <catch2/catch.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "emulator/emulator.hpp"
#include "tests/worker/mpirun.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::json;

const char* const operations[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast",
                                  "reduce",     "all_to_all",     "send"};

// Windows of MPI in a folder of their own, where others leave nothing.
std::string windows_in(const Folder& folder) {
  return fmt::format("{} --mca osc_sm_backing_directory {}", in_memory, folder.path.string());
}

bool leftovers(const Folder& folder) {
  for (const auto& entry : fs::directory_iterator(folder.path))
    if (entry.path().filename().string().starts_with("osc_sm")) return true;
  return false;
}

TEST_CASE("bench over shared memory is right for 1 to 8 processes and leaves nothing behind",
          "[mpi]") {
  const Folder folder;
  for (const int ranks : {1, 2, 3, 8})
    for (const char* op : operations) {
      const char* type = ranks == 3 ? "half" : ranks == 8 ? "bfloat16" : "float";
      const Ended ended = run(
          folder, ranks,
          fmt::format("bench -b 8 -e 128K -f 16 -n 2 -w 1 --backend shm --op {} -d {} --json {}",
                      op, type, folder.file("bench.json")),
          windows_in(folder));
      INFO(ranks << " ranks " << op << "\n" << ended.output << ended.errors);
      REQUIRE(ended.status == 0);
      const Json json = Json::parse(text_of(folder.file("bench.json")));
      CHECK(json["out_of_bounds"] == 0);
      for (const Json& result : json["results"]) CHECK(result["limit_s"] > 0);
    }
  CHECK_FALSE(leftovers(folder));
}

TEST_CASE("shared and private buffers beside MPI have a speedup with its interval", "[mpi]") {
  const Folder folder;
  for (const char* buffers : {"shared", "private"}) {
    const Ended ended = run(folder, 2,
                            fmt::format("bench -b 8 -e 2M -f 512 -n 12 -w 1 --backend shm "
                                        "--compare mpi --buffers {} --json {}",
                                        buffers, folder.file("bench.json")));
    INFO(buffers << "\n" << ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    for (const Json& result : Json::parse(text_of(folder.file("bench.json")))["results"]) {
      CHECK(result["speedup_ci95"][0] <= result["speedup"]);
      CHECK(result["speedup"] <= result["speedup_ci95"][1]);
      CHECK(result["mpi_time_s"] > 0);
      CHECK(result["wrong"] == 0);
    }
  }
}

TEST_CASE("too little shared memory is an error before anything is moved", "[mpi]") {
  const Folder folder;
  struct statvfs store = {};
  REQUIRE(statvfs("/dev/shm", &store) == 0);
  // Each of the two wants more than half.
  const std::uint64_t mebibytes = store.f_bavail * store.f_frsize / 2 / (1 << 20) + 64;
  const Ended ended =
      run(folder, 2, fmt::format("bench -b {0}M -e {0}M -n 1 --backend shm", mebibytes));
  INFO(ended.output << ended.errors);
  CHECK(ended.status == 2);
  CHECK(ended.errors.find("error: no shared memory left: /dev/shm has ") != std::string::npos);
  CHECK(ended.output.empty());
}

TEST_CASE("a rank that is killed leaves no shared memory behind", "[mpi]") {
  const Folder folder;
  Started started(folder, 2, "bench -b 1M -e 1M -n 1000000 --backend shm", windows_in(folder));
  for (int i = 0; i < 400 && text_of(folder.file("stdout")).find("#wrong") == std::string::npos;
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::vector<pid_t> workers = started.workers();
  REQUIRE(workers.size() == 2);
  kill(workers[1], SIGKILL);
  CHECK(started.wait().status != 0);
  CHECK_FALSE(leftovers(folder));
}

// An algorithm whose messages go both ways, inside and across.
std::string algorithm_for(const std::string& operation) {
  if (operation == "reduce" || operation == "broadcast") return "binomial_tree";
  return operation == "send" || operation == "all_to_all" ? "direct" : "hierarchical";
}

TEST_CASE("across virtual machines every operation takes memory inside and sockets outside",
          "[mpi]") {
  const Folder folder;
  for (const std::string op : operations) {
    const Ended ended = run(folder, 4,
                            fmt::format("bench -b 8 -e 256K -f 32 -n 2 -w 1 --backend hierarchical "
                                        "--ranks-per-node 2 --op {} --algorithm {} --json {}",
                                        op, algorithm_for(op), folder.file("bench.json")),
                            over_sockets);
    INFO(op << "\n" << ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    const Json json = Json::parse(text_of(folder.file("bench.json")));
    CHECK(json["out_of_bounds"] == 0);
    const Json& ways = json["ways"];
    std::cout << fmt::format("{}, 2 x 2 ranks: {} bytes through shared memory, {} over sockets\n",
                             op, ways["shared_memory_bytes"].get<std::uint64_t>(),
                             ways["mpi_bytes"].get<std::uint64_t>());
    CHECK(ways["mpi_bytes"] > 128 << 10);
    // From the first rank to the last, a send stays outside.
    if (op != "send") CHECK(ways["shared_memory_bytes"] > 128 << 10);
  }
}

TEST_CASE("any schedule runs across virtual machines, synthesized ones included", "[mpi]") {
  const Folder folder;
  for (const std::string algorithm : {"ring", "double_tree", "halving_doubling", "swing", "direct",
                                      "hierarchical", "synthesized"}) {
    const Ended ended =
        run(folder, 4,
            fmt::format("bench -b 4K -e 1M -f 16 -n 2 -w 1 --backend hierarchical "
                        "--ranks-per-node 2 --algorithm {} {} --json {}",
                        algorithm, algorithm == "synthesized" ? "--cluster localhost" : "",
                        folder.file("bench.json")),
            over_sockets);
    INFO(algorithm << "\n" << ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    const Json json = Json::parse(text_of(folder.file("bench.json")));
    CHECK(json["out_of_bounds"] == 0);
    CHECK(json["results"][0]["algorithm"] == algorithm);
    CHECK(json["ways"]["mpi_bytes"] > 0);
  }
}

TEST_CASE("shm refuses groups that live on several machines", "[mpi]") {
  const Folder folder;
  const Ended ended = run(folder, 4, "bench -b 8 -e 8 -n 1 --backend shm --ranks-per-node 2");
  CHECK(ended.status == 2);
  CHECK(ended.errors.find("rank 2 lives on another machine than rank 0") != std::string::npos);
}

TEST_CASE("probe names the pair that is slowed down before any that noise slows", "[mpi]") {
  const Folder folder;
  for (const char* backend : {"p2p", "hierarchical"}) {
    const Ended ended = run(
        folder, 4,
        fmt::format("probe --throttle 1:3=4MB/s --tolerance 8 --all-pairs --backend {} --json {}",
                    backend, folder.file("probe.json")));
    INFO(ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    const Json json = Json::parse(text_of(folder.file("probe.json")));
    CHECK(json["pairs"].size() == 6);
    REQUIRE_FALSE(json["suspects"].empty());  // the worst first
    CHECK(json["suspects"][0]["what"] == "link");
    CHECK(json["suspects"][0]["ranks"] == Json({1, 3}));
    CHECK(ended.output.find("suspect: link between rank 1 on ") != std::string::npos);
  }
}

TEST_CASE("probe compares with a cluster and writes one that loads", "[mpi]") {
  const Folder folder;
  const Ended ended = run(folder, 4,
                          fmt::format("probe --cluster localhost --write {} --json {}",
                                      folder.file("found.yaml"), folder.file("probe.json")));
  INFO(ended.output << ended.errors);
  REQUIRE(ended.status == 0);
  const Json json = Json::parse(text_of(folder.file("probe.json")));
  CHECK(json["pairs"].size() == 4);  // two rounds of two
  for (const Json& pair : json["pairs"]) {
    CHECK(pair["latency_s"] > 0);
    CHECK(pair["bandwidth_bytes_per_s"] > 0);
    CHECK(pair["expected_bandwidth_bytes_per_s"] > 0);
    CHECK(pair["expected_latency_s"] > 0);
  }
  const auto cluster = topology::load_cluster(folder.file("found.yaml"));
  if (!cluster) FAIL(to_string(cluster.error()));
  CHECK(cluster->accelerators() == 4);
  const Ended refused = run(folder, 2, "probe --throttle 0:2=1MB/s");
  CHECK(refused.status == 2);
  CHECK(refused.errors.find("there is no rank 2") != std::string::npos);
}

}  // namespace
}  // namespace railwright::worker
