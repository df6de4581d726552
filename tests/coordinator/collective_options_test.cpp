// Who takes part, how large the messages are, how the algorithm is chosen, and what is refused.
#include <catch2/catch.hpp>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string on_dgx = "collective --cluster dgx-h100-4 ";

nlohmann::json result_of(const std::string& arguments) {
  const Outcome run = run_command(on_dgx + arguments + " --json");
  INFO(arguments << "\n" << run.err);
  REQUIRE(run.status == 0);
  return run.json();
}

void check_refused(const std::string& arguments, const std::string& words) {
  const Outcome run = run_command(arguments);
  INFO(arguments << "\n" << run.err);
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains(words));
}

}  // namespace

TEST_CASE("a group is what nodes, ranks, local and stride leave in common") {
  const auto ranks = [](const std::string& group) -> int {
    return result_of("--bytes 1M --group " + group)["ranks"];
  };
  CHECK(ranks("stride=8") == 4);
  CHECK(ranks("nodes=0-2") == 24);
  CHECK(ranks("nodes=0-1,3") == 24);
  CHECK(ranks("local=0") == 4);
  CHECK(ranks("local=0-1,7") == 12);
  CHECK(ranks("ranks=0-7,16") == 9);
  CHECK(ranks("nodes=1-2 local=0-3") == 8);
  CHECK(ranks("nodes=1-2,local=0-3") == 8);
  CHECK(ranks("nodes=1-2 --group local=0-3 --group stride=2") == 4);
  CHECK(ranks("nodes=1-2 --ranks 5") == 5);
}

TEST_CASE("one rank per node talks over the rails, one node over NVLink only") {
  const auto rails = result_of("--bytes 64M --algorithm ring --group local=3");
  CHECK(rails["limiting_link_class"] == "rail-fibre");
  CHECK_THAT(rails["limiting_link"].get<std::string>(), Contains("nic3"));
  const auto node = result_of("--bytes 64M --algorithm ring --group nodes=2");
  CHECK(node["limiting_link_class"] == "nvlink");
  CHECK_THAT(node["limiting_link"].get<std::string>(), Contains("node2"));
}

TEST_CASE("every 8th accelerator is local index 0 of every node") {
  auto stride = result_of("--bytes 1M --group stride=8");
  auto local = result_of("--bytes 1M --group local=0");
  for (auto* result : {&stride, &local})
    for (const char* key : {"wall_s", "peak_rss_bytes"}) result->erase(key);
  CHECK(stride == local);
}

TEST_CASE("groups that cannot be are refused with what to write") {
  const auto refused = [](const std::string& group, const std::string& words) {
    check_refused(on_dgx + "--bytes 1M --group " + group, words);
  };
  refused("nodes=3-0", "runs backwards; write 0-3");
  refused("nodes=0-4", "count from 0 to 3");
  refused("ranks=32", "count from 0 to 31");
  refused("local=8", "count from 0 to 7");
  refused("ranks=0-7,5", "5 is named twice");
  refused("stride=0", "stride=8");
  refused("nodes=", "no number or range");
  refused("nodes=0-1-2", "no number or range");
  refused("nodes=-1", "no number or range");
  refused("node=1", "nodes=0-3");
  refused("8", "nodes=0-3");
  refused("'nodes=0 ranks=8-9'", "no number or range");
  refused("nodes=0 ranks=8-9", "leaves none");
  refused("ranks=3", "only one");
  refused("stride=32", "only one");
  refused("nodes=1 --ranks 9", "write 2 to 8");
}

TEST_CASE("a cluster in two pieces is refused, and the pieces are named") {
  const Folder folder;
  const std::string islands = folder.write("islands.yaml", R"(
schema_version: 1
name: islands
link_classes:
  wire: {bandwidth: 100 GB/s, latency: 1 us}
nodes:
  - {name: left, count: 1, accelerator: h100-sxm5-80gb, accelerators: 4,
     scale_up: {shape: switch, link: wire}}
  - {name: right, count: 1, accelerator: h100-sxm5-80gb, accelerators: 4,
     scale_up: {shape: switch, link: wire}}
)");
  check_refused("collective --bytes 1M --cluster " + islands, "right0/gpu0");
  check_refused("collective --bytes 1M --cluster " + islands, "left0/gpu0");
}

TEST_CASE("sizes are whole elements, rounded down, and it is said") {
  const auto seven = result_of("--bytes 7 --ranks 8");
  CHECK(seven["bytes"] == 4);
  CHECK(seven["asked_bytes"] == 7);
  CHECK(seven["count"] == 1);
  CHECK(seven["type"] == "float");
  const auto halves = result_of("--bytes 7 --ranks 8 --datatype half");
  CHECK(halves["bytes"] == 6);
  CHECK(halves["count"] == 3);
  CHECK_FALSE(result_of("--bytes 8 --ranks 8").contains("asked_bytes"));
  const Outcome table = run_command(on_dgx + "--bytes 7 --ranks 8");
  CHECK_THAT(table.out, Contains("7 B asked, 4 B sent"));
}

TEST_CASE("where ranks have parts the count is of one part, as nccl-tests shows it") {
  CHECK(result_of("--bytes 1M --ranks 8 --op all_gather")["count"] == 32768);
  CHECK(result_of("--bytes 1M --ranks 8 --op all_reduce")["count"] == 262144);
}

TEST_CASE("no bytes take the latency alone, for every operation") {
  for (const char* operation : {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce",
                                "all_to_all", "send"}) {
    INFO(operation);
    const auto none = result_of(std::string("--bytes 0 --ranks 6 --op ") + operation);
    CHECK(none["time_s"].get<double>() > 0);
    CHECK(none["algbw_bytes_per_s"] == 0);
    CHECK(none["limiting_link_class"] == "");
    CHECK(none["bound"]["time_s"] == 0);
  }
  CHECK_THAT(run_command(on_dgx + "--begin 0 --end 16").out, Contains("latency alone"));
}

TEST_CASE("a sweep from zero goes on with one element, and never has a size twice") {
  const auto results = result_of("-b 0 -e 64 -f 1.5 --ranks 4")["results"];
  REQUIRE(results.size() > 4);
  CHECK(results[0]["bytes"] == 0);
  CHECK(results[1]["bytes"] == 4);
  for (std::size_t i = 1; i < results.size(); ++i) {
    CHECK(results[i]["bytes"] > results[i - 1]["bytes"]);
    CHECK(results[i]["bytes"].get<int>() % 4 == 0);
  }
}

TEST_CASE("odd sizes on odd numbers of ranks run by every algorithm that applies") {
  for (const char* operation :
       {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "all_to_all"})
    for (const char* ranks : {"2", "3", "7"}) {
      const auto results =
          result_of(std::string("--bytes 1003 --datatype int8 --compare all --op ") + operation +
                    " --ranks " + ranks);
      INFO(operation << " over " << ranks);
      const auto rows = results.contains("results") ? results["results"] : nlohmann::json{results};
      REQUIRE(!rows.empty());
      for (const auto& row : rows) {
        INFO(row["algorithm"]);
        CHECK(row["bytes"] == 1003);
        CHECK(row["time_s"].get<double>() > 0);
        CHECK(row["time_s"].get<double>() >= row["bound"]["time_s"].get<double>());
      }
    }
}

TEST_CASE("auto takes what NCCL would where the machine is known, and says so") {
  const auto known = result_of("--bytes 1G");
  CHECK(known["nccl"]["algorithm"] == "Ring");
  CHECK(known["algorithm"] == "ring");
  CHECK(known["chosen_by"] == "nccl");
  CHECK_THAT(known["chosen_because"].get<std::string>(), Contains("Ring/Simple"));
  const auto tree = result_of("--bytes 8K");
  CHECK(tree["nccl"]["algorithm"] == "Tree");
  CHECK_THAT(tree["algorithm"].get<std::string>(), Contains("tree"));
  CHECK(tree["chosen_by"] == "nccl");
  CHECK_THAT(run_command(on_dgx + "--begin 8K --end 1G --factor 1024").out,
             Contains("auto, 8 KiB: NCCL 2.30 takes Tree/"));
}

TEST_CASE("auto takes the fastest we know elsewhere, and says so") {
  const auto unknown = result_of("--bytes 1G --ranks 12");
  CHECK(unknown["chosen_by"] == "best");
  CHECK_THAT(unknown["chosen_because"].get<std::string>(), Contains("no data say"));
  const auto no_model = result_of("--bytes 1M --op all_to_all");
  CHECK(no_model["chosen_by"] == "best");
  CHECK_THAT(no_model["chosen_because"].get<std::string>(), Contains("no model of all_to_all"));
  CHECK_FALSE(result_of("--bytes 1M --algorithm ring").contains("chosen_by"));
}

TEST_CASE("best is as fast as the fastest of all, what is synthesized among them") {
  for (const char* size : {"1K", "4M"}) {
    const auto results = result_of(std::string("--compare best,ring,tree,direct,synthesized ") +
                                   "--group nodes=1 --bytes " + size)["results"];
    REQUIRE(results.size() == 5);
    CHECK(results[0]["chosen_by"] == "best");
    for (const auto& other : results)
      CHECK(results[0]["time_s"].get<double>() <= other["time_s"].get<double>() * (1 + 1e-6));
  }
}

TEST_CASE("a synthesized schedule runs by steps and does not beat what is attainable") {
  const Outcome run = run_command(
      "collective --cluster mi300x-node --op all_gather --bytes 256M --algorithm synthesized "
      "--json");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto result = run.json();
  CHECK(result["algorithm"] == "synthesized");
  CHECK(result["detail"] == "steps");
  CHECK(result["attainable"]["time_s"].get<double>() >= result["bound"]["time_s"].get<double>());
  CHECK(result["time_s"].get<double>() > result["attainable"]["time_s"].get<double>());
}

TEST_CASE("a synthesized schedule stays inside its group, and its expected time is what it takes") {
  const auto row = run_command(
                       "collective --cluster dgx-h100-4 --op broadcast --bytes 16MiB "
                       "--group local=0 --algorithm synthesized --json")
                       .json();
  const double time = row["time_s"];
  CHECK(time >= 16.0 * 1024 * 1024 / 50e9);  // the one NIC of a rank
  CHECK(row["expected_s"].get<double>() == Approx(time));
}

TEST_CASE("a schedule that switches reduce for stands beside the bound that holds for them") {
  const auto results = result_of("--compare nvls,ring --group nodes=1 --bytes 1G")["results"];
  REQUIRE(results.size() == 2);
  CHECK(results[0]["bound"]["in_network"] == true);
  CHECK(results[1]["bound"]["in_network"] == false);
  CHECK(results[0]["bound"]["time_s"] < results[1]["bound"]["time_s"]);
  for (const auto& row : results) CHECK(row["bound"]["time_s"] <= row["time_s"]);
}

TEST_CASE("a calibration file is laid over the default one") {
  const Folder folder;
  const auto with = [&](const std::string& value) {
    const std::string file =
        folder.write("c.json", R"({"schema_version": 1, "entries": [
      {"subject": "library:nccl", "parameter": "software_latency", "unit": "s", "value": )" +
                                   value + R"(, "n": 0, "source": "a test"}]})");
    return result_of("--bytes 0 --ranks 2 --algorithm ring --calibration " + file);
  };
  const double slow = with("0.001")["time_s"], fast = with("0.0001")["time_s"];
  CHECK(slow - fast == Approx(2 * 0.0009));  // two steps
  check_refused(on_dgx + "--bytes 1M --calibration " + folder.file("missing.json"), "missing.json");
  check_refused(on_dgx + "--bytes 1M --calibration " + folder.write("bad.json", "{"), "bad.json:1");
}

// NCCL's Tree: chains inside nodes, two trees across them.
TEST_CASE("the double tree by name is the one that auto takes where NCCL takes Tree") {
  const auto taken = result_of("--bytes 64K");
  REQUIRE(taken["nccl"]["algorithm"] == "Tree");
  const auto named = result_of("--bytes 64K --algorithm double_tree");
  CHECK(taken["algorithm"] == "double_tree");
  CHECK(named["time_s"] == taken["time_s"]);
}

TEST_CASE("the version of NCCL picks the constants") {
  const auto old = result_of("--bytes 1M --nccl-version 2.20");
  CHECK(old["nccl"]["version"] == "2.20");
  CHECK(result_of("--bytes 1M")["nccl"]["version"] == "2.30");
  CHECK(result_of("--bytes 1M --nccl-version 2.22.3")["nccl"]["version"] == "2.21");
  check_refused(on_dgx + "--bytes 1M --nccl-version 1.0", "write 2.20 or newer");
  check_refused(on_dgx + "--bytes 1M --nccl-version new", "nothing is known");
}

TEST_CASE("the root of a broadcast is a rank of the group") {
  const auto broadcast = result_of("--bytes 1M --op broadcast --root 5 --algorithm ring");
  CHECK(broadcast["root"] == 5);
  CHECK_FALSE(result_of("--bytes 1M").contains("root"));
  check_refused(on_dgx + "--bytes 1M --op broadcast --root 32", "write 0 to 31");
  check_refused(on_dgx + "--bytes 1M --op broadcast --root -1", "write 0 to 31");
  check_refused(on_dgx + "--bytes 1M --op broadcast --group nodes=0 --root 8", "write 0 to 7");
  check_refused(on_dgx + "--bytes 1M --root 0", "all_reduce has no root");
}

TEST_CASE("an algorithm that does not apply is refused with those that do") {
  const std::string tail = "--bytes 1M --ranks 8 --algorithm ";
  check_refused(on_dgx + tail + "bruck --op broadcast", "these do broadcast over these 8 ranks:");
  check_refused(on_dgx + tail + "halving_doubling --op all_to_all", "direct");
  check_refused(on_dgx + "--bytes 1M --compare ring,halving_doubling --op broadcast",
                "these do broadcast over these 32 ranks: ring");
  check_refused(on_dgx + tail + "rng", "auto or best");
}

TEST_CASE("what could not be emulated step by step is refused before it starts") {
  const std::string all = "collective --cluster dgx-h100 --bytes 1M --algorithm direct ";
  check_refused(all + "--detail steps", "1047552 of them at once");
  check_refused(all + "--detail steps", "--detail phases");
}

TEST_CASE("several algorithms stand side by side, in JSON one after another") {
  const std::string compare =
      "-b 1K -e 1M -f 32 --compare ring,tree,best --group nodes=1-3,local=0";
  const auto results = result_of(compare)["results"];
  REQUIRE(results.size() == 9);  // 3 sizes
  CHECK(results[0]["asked"] == "ring");
  CHECK(results[1]["asked"] == "binomial_tree");
  CHECK(results[2]["asked"] == "best");
  CHECK(results[2]["bytes"] == 1024);
  CHECK(results[3]["bytes"] == 32768);
  const Outcome table = run_command(on_dgx + compare);
  CHECK_THAT(table.out, Contains("ring") && Contains("binomial_tree") && Contains("best") &&
                            Contains("takes") && Contains("fastest") && Contains("bound"));
  check_refused(on_dgx + "--bytes 1M --compare ring,ring", "named twice");
  check_refused(on_dgx + "--bytes 1M --compare ring,", "unknown algorithm");
  check_refused(on_dgx + "--bytes 1M --compare ring --algorithm tree", "--compare");
}

TEST_CASE("the time by phases on a healthy cluster is the expected one; faults show beside it") {
  const auto phases = result_of("--bytes 64M --algorithm ring --detail phases");
  CHECK(phases["expected_s"].get<double>() == Approx(phases["time_s"].get<double>()));
  const auto hurt = result_of("--bytes 64M --algorithm ring --detail phases --faults " +
                              source_file("examples/faults/degraded-rail.yaml"));
  CHECK(hurt["expected_s"].get<double>() == Approx(phases["time_s"].get<double>()));
  CHECK(hurt["time_s"].get<double>() > hurt["expected_s"].get<double>());
}

// What a refusal names must run in seconds: 16,384 ranks have 268 million pairs.
TEST_CASE("exchanges of all pairs are refused where they are too many, and not offered either") {
  const std::string million = "collective --cluster " + source_file("bench/million-h100.yaml") +
                              " --bytes 64M --op all_to_all --ranks 16384 --algorithm ";
  for (const char* algorithm : {"pairwise", "bruck", "direct"}) {
    const auto run = run_command(million + algorithm);
    INFO(run.err);
    CHECK(run.status == 2);
    CHECK(run.err.find("connections are too many; choose fewer --ranks") != std::string::npos);
  }
}
