#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <sstream>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string on_dgx = "collective --cluster dgx-h100-4 ";

}  // namespace

TEST_CASE("collective --json has the keys of the contract, and they agree with each other") {
  const Outcome run = run_command(on_dgx + "--op all_reduce --bytes 1GiB --ranks 8 --json");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto result = run.json();
  for (const char* key : {"op",
                          "algorithm",
                          "ranks",
                          "bytes",
                          "time_s",
                          "algbw_bytes_per_s",
                          "busbw_bytes_per_s",
                          "limiting_link_class",
                          "limiting_link",
                          "steps",
                          "detail",
                          "events",
                          "wall_s",
                          "peak_rss_bytes",
                          "nccl",
                          "bound",
                          "attainable",
                          "expected_s",
                          "count",
                          "type",
                          "chunks",
                          "segments",
                          "chosen_by",
                          "chosen_because"})
    CHECK(result.contains(key));
  // Eight GPUs, 450 GB/s of NVLink and 50 of NIC each, which lead back into the node over the
  // spines: 2 x 7 vectors out of 8 x 500 GB/s.
  const auto bound = result["bound"];
  CHECK(bound["time_s"].get<double>() == Approx(1073741824.0 * 14 / 4000e9));
  CHECK(bound["time_s"] <= result["time_s"]);
  CHECK(bound["links"].size() == 16);
  CHECK(bound["links_total"] == 16);
  CHECK(bound["cut"] == "8 ranks, each on its own");
  CHECK(result["bytes"] == 1073741824);
  CHECK(result["limiting_link_class"] == "nvlink");
  const double time = result["time_s"], algbw = result["algbw_bytes_per_s"];
  CHECK(algbw == Approx(1073741824 / time));
  CHECK(result["busbw_bytes_per_s"].get<double>() == Approx(algbw * 2 * 7 / 8));
}

TEST_CASE("no operation beats its bound, whose links are named") {
  for (const char* operation :
       {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "send"}) {
    INFO(operation);
    const Outcome run =
        run_command(on_dgx + "--bytes 256M --json --algorithm auto --op " + operation);
    INFO(run.err);
    REQUIRE(run.status == 0);
    const auto result = run.json();
    CHECK(result["bound"]["time_s"].get<double>() > 0);
    CHECK(result["bound"]["time_s"] <= result["time_s"]);
    CHECK(!result["bound"]["links"].empty());
  }
}

TEST_CASE("a sweep has one result per size, and larger messages take longer") {
  const Outcome run =
      run_command(on_dgx + "--op all_gather --begin 8 --end 16M --factor 8 --ranks 8 --json");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto results = run.json()["results"];
  REQUIRE(results.size() == 8);  // 8, 64, ... 16 Mi
  for (std::size_t i = 1; i < results.size(); ++i) {
    CHECK(results[i]["bytes"] == results[i - 1]["bytes"].get<std::uint64_t>() * 8);
    CHECK(results[i]["time_s"] >= results[i - 1]["time_s"]);
  }
}

TEST_CASE("a sweep prints the columns of nccl-tests in their order, ours behind them") {
  const Outcome run = run_command(on_dgx + "-b 1M -e 4M -f 2 --ranks 8 --algorithm ring");
  REQUIRE(run.status == 0);
  std::istringstream lines(run.out);
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    const std::vector<std::string> cells{std::istream_iterator<std::string>(words), {}};
    if (line[0] != '#') rows.push_back(cells);
    if (cells.size() > 1 && cells[1] == "size") names = cells;
  }
  const std::vector<std::string> first = {"#",    "size", "count", "type", "redop",
                                          "root", "time", "algbw", "busbw"};
  REQUIRE(names.size() > first.size());
  CHECK(std::equal(first.begin(), first.end(), names.begin()));
  CHECK_THAT(run.out, Contains("(B)") && Contains("(elements)") && Contains("(GB/s)") &&
                          Contains("expected") && Contains("bound") && Contains("limited by") &&
                          Contains("# Avg bus bandwidth    : "));
  REQUIRE(rows.size() == 3);
  for (const auto& row : rows) {
    const double size = std::stod(row[0]), time = std::stod(row[5]), algbw = std::stod(row[6]);
    CHECK(std::stod(row[1]) == size / 4);
    CHECK(row[2] == "float");
    CHECK(row[3] == "sum");
    CHECK(row[4] == "-1");
    CHECK(algbw == Approx(size / time / 1e3).epsilon(0.01));
    CHECK(std::stod(row[7]) == Approx(algbw * 2 * 7 / 8).epsilon(0.01));
    CHECK(row[8] == "ring");
  }
}

TEST_CASE("collective says what NCCL would take where it knows the machine, else nothing") {
  const auto known = run_command(on_dgx + "--bytes 1MiB --json").json();
  REQUIRE(known.contains("nccl"));
  CHECK(known["nccl"]["algorithm"] == "Tree");  // 4 x 8 H100: 256 KiB to 32 MiB
  CHECK(known["nccl"]["protocol"] == "LL128");
  // Tree/LL128: 65.5 us and 116 GB/s, corrected by 0.6 at 1 MiB.
  CHECK(known["nccl"]["time_s"].get<double>() == Approx(65.5e-6 + 1048576 / (0.6 * 116e9)));
  const auto halves = run_command(on_dgx + "--bytes 1MiB --ranks 12 --json").json();
  CHECK_FALSE(halves.contains("nccl"));
  const auto other = run_command("collective --cluster mi300x-node --bytes 1MiB --json").json();
  CHECK(other["ranks"] == 8);
  CHECK_FALSE(other.contains("nccl"));
  CHECK_THAT(run_command(on_dgx + "--bytes 1MiB").out, Contains("Tree/LL128"));
}

TEST_CASE("a degraded link slows the collective and is named") {
  const std::string ring = on_dgx + "--bytes 64M --algorithm hierarchical --json ";
  const auto healthy = run_command(ring).json();
  const auto hurt =
      run_command(ring + "--faults " + source_file("examples/faults/degraded-rail.yaml")).json();
  CHECK(hurt["time_s"].get<double>() > healthy["time_s"].get<double>() * 1.5);
  CHECK(hurt["limiting_link"] == "node1/nic3->rail3/leaf0");
}

TEST_CASE("the same command prints the same result") {
  const std::string command = on_dgx + "--begin 8 --end 1M --factor 4";
  CHECK(run_command(command).out == run_command(command).out);
}

TEST_CASE("collective refuses wrong input with status 2 and says what to write") {
  const auto refused = [](const std::string& arguments, const std::string& words) {
    const Outcome run = run_command(arguments);
    INFO(arguments << "\n" << run.err);
    CHECK(run.status == 2);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains(words));
  };
  refused(on_dgx, "--bytes 1GiB");
  refused(on_dgx + "--bytes 1M --begin 8 --end 16", "one size or one sweep");
  refused(on_dgx + "--begin 8", "one size or one sweep");
  refused(on_dgx + "--begin 16 --end 8", "swap");
  refused(on_dgx + "--begin 8 --end 1M --factor 1", "--factor");
  refused(on_dgx + "--bytes lots", "--bytes");
  refused(on_dgx + "--bytes 1M --op all_reduc", "--op");
  refused(on_dgx + "--bytes 1M --algorithm rings", "--algorithm");
  refused(on_dgx + "--bytes 1M --detail much", "--detail");
  refused(on_dgx + "--bytes 1M --ranks 33", "write 2 to 32");
  refused(on_dgx + "--bytes 1M --ranks 0", "write 2 to 32");
  refused(on_dgx + "--bytes 1M --op broadcast --algorithm halving_doubling", "does not do");
  refused(on_dgx + "--bytes 1M --faults " + source_file("examples/faults/days.yaml"),
          "one collective cannot honour");
  refused("collective --cluster nowhere --bytes 1M", "nowhere");
  refused("collective --bytes 1M", "--cluster");
}

TEST_CASE("a size that would outlast event time is refused, not emulated") {
  const Outcome run =
      run_command("collective --cluster dgx-h100-4 --op all_reduce --bytes 16000000T");
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("106 days") && Contains("--bytes"));
}
