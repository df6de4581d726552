#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "coordinator/calibration/calibration.hpp"
#include "coordinator/calibration/link_fit.hpp"
#include "coordinator/calibration/runs.hpp"
#include "tests/coordinator/command.hpp"
#include "topology/calibration_overlay.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using railwright::test::Folder;
using railwright::test::run_command;
using workload::Operation;

namespace {

const std::string h100_sweep = "tests/coordinator/data/nccl-tests-h100.txt";

// A table without a root column, as mpirun --tag-output passes it on.
const std::string old_sweep = "tests/coordinator/data/nccl-tests-v100.txt";
const std::string json_sweep = "tests/coordinator/data/nccl-tests-b200.json";

Result<std::vector<Measurement>> read(const std::string& path, const RunHints& hints = {}) {
  return read_runs(test::read_text(test::source_file(path)), "run", hints);
}

// A ring of `ranks` whose links have this latency and efficiency.
std::vector<SizeTime> ring_sweep(int ranks, Seconds step, double efficiency, Bandwidth line) {
  std::vector<SizeTime> sweep;
  for (std::uint64_t size = 64; size <= (1ull << 32); size *= 4) {
    const double wire = 2.0 * (ranks - 1) / ranks * static_cast<double>(size);
    sweep.push_back({bytes(size), 2 * (ranks - 1) * step +
                                      seconds(wire / (efficiency * line.bytes_per_second))});
  }
  return sweep;
}

const LinkSystem nvlink{"nvlink-4", "library:nccl", gigabytes_per_second(450), microseconds(0.5)};

const topology::CalibrationEntry& entry_of(const LinkFit& fit, const std::string& parameter) {
  for (const auto& entry : fit.entries)
    if (entry.parameter == parameter) return entry;
  FAIL("no " << parameter);
  return fit.entries.front();
}

}  // namespace

TEST_CASE("the table of nccl-tests is read with its devices, version and columns") {
  const auto runs = read(h100_sweep);
  REQUIRE(runs);
  REQUIRE(runs->size() == 10);
  const Measurement& last = runs->back();
  CHECK(last.operation == Operation::all_reduce);
  CHECK(last.accelerator == "h100-sxm5-80gb");
  CHECK(last.library == "NCCL 2.28.9");
  CHECK(last.ranks == 4);
  CHECK(last.nodes == 1);
  CHECK(last.size == gibibytes(1));
  CHECK(last.time.value == Approx(4600e-6));
  RunHints in_place;
  in_place.in_place = true;
  const auto second = read(h100_sweep, in_place);
  CHECK(second->back().time.value == Approx(4590e-6));
}

TEST_CASE("old tables, tags of mpirun and a missing operation are understood or named") {
  CHECK(to_string(read(old_sweep).error()) ==
        "run: error: does not say which collective it ran; say it: --op all_reduce\n");
  RunHints hints;
  hints.operation = Operation::all_reduce;
  const auto runs = read(old_sweep, hints);
  REQUIRE(runs);
  REQUIRE(runs->size() == 2);
  CHECK(runs->front().nodes == 2);
  CHECK(runs->front().accelerator == "v100-sxm2-32gb");
  CHECK(runs->front().library == "NCCL 2.7.8+cuda10.2");
  CHECK(runs->back().time.value == Approx(130.2e-6));
}

TEST_CASE("the JSON of a probe is read: what each pair takes for nothing and for a message") {
  const std::string head = R"({"probe":"p2p","bytes":1048576,"pairs":[)";
  const std::string pair =
      R"({"ranks":[0,1],"same_machine":true,"latency_s":1e-6,"bandwidth_bytes_per_s":1e10,)"
      R"("back_bandwidth_bytes_per_s":5e9})";
  const auto rows = read_runs(head + pair + "]}", "probe.json", {});
  REQUIRE(rows);
  REQUIRE(rows->size() == 2);
  CHECK(rows->front().operation == workload::Operation::broadcast);
  CHECK(rows->front().library == "p2p");
  CHECK(rows->front().ranks == 2);
  CHECK(rows->front().nodes == 1);
  CHECK(rows->front().time == microseconds(1));
  CHECK(rows->back().size == mebibytes(1));
  CHECK(rows->back().time.value == Approx(1e-6 + 1048576 * (1 / 1e10 + 1 / 5e9) / 2));
  for (const std::string broken :
       {R"({"ranks":[0,1]})", R"({"same_machine":true,"latency_s":1})", "7"}) {
    const auto error = read_runs(head + broken + "]}", "probe.json", {});
    REQUIRE_FALSE(error);
    CHECK(error.error().front().message == "pair 0 is not whole");
  }
  CHECK_FALSE(read_runs(head + "]}", "probe.json", {}));
}

TEST_CASE("the JSON of nccl-tests and of our own bench are read") {
  const auto nccl = read(json_sweep);
  REQUIRE(nccl);
  CHECK(nccl->front().operation == Operation::all_gather);
  CHECK(nccl->front().library == "NCCL 2.30.7");
  CHECK(nccl->front().accelerator == "b200-sxm-180gb");
  CHECK(nccl->back().time.value == Approx(9.6e-6));  // in place is all there is
  const auto bench = read_runs(R"({"op":"all_reduce","backend":"shm","ranks":2,"nodes":1,)"
                               R"("results":[{"bytes":8,"time_s":1e-6}]})",
                               "bench.json", {});
  REQUIRE(bench);
  CHECK(bench->front().accelerator == "cpu-core");
  CHECK(bench->front().library == "shm");
  CHECK(bench->front().time.value == 1e-6);
}

TEST_CASE("broken files of runs are refused, whatever is broken") {
  for (const char* text :
       {"", "{", "{}", "[1]", R"({"results":[]})", "hello\nworld\n",
        R"({"backend":"shm","op":"all_reduce","ranks":2,"nodes":1})",
        R"({"backend":"shm","op":"sort","ranks":2,"nodes":1,"results":[{}]})",
        "#  Rank  0 Group  0 Pid 1 on h device  0 [0] NVIDIA H100\n1024 256\n"}) {
    INFO(text);
    CHECK(!read_runs(text, "broken", {}));
  }
}

TEST_CASE("a fit of links finds the latency and the efficiency that made the sweep") {
  const Seconds step = microseconds(2.5);
  for (const double efficiency : {0.6, 0.8, 0.95}) {
    const auto sweep = ring_sweep(8, step, efficiency, nvlink.line);
    const auto fit = fit_links(nvlink, Operation::all_reduce, 8, sweep, "made");
    REQUIRE(fit);
    CHECK(fit->residual < 1e-6);
    CHECK(fit->left_out < 1e-6);
    CHECK(entry_of(*fit, "software_latency").value == Approx(2e-6));
    for (const auto& entry : fit->entries)
      if (entry.parameter == "link_efficiency") CHECK(entry.value == Approx(efficiency));
  }
}

TEST_CASE("efficiency by size comes in pieces that meet, and no piece is above one") {
  auto sweep = ring_sweep(8, microseconds(2), 0.8, nvlink.line);
  for (SizeTime& point : sweep)
    if (point.size > mebibytes(256)) point.time = 0.4 * point.time;  // faster than any ring
  const auto fit = fit_links(nvlink, Operation::all_reduce, 8, sweep, "made");
  REQUIRE(fit);
  CHECK(fit->faster_than_ring);
  double end = 0;
  int pieces = 0;
  for (const auto& entry : fit->entries) {
    CHECK(topology::misfit_of(entry) == "");
    if (entry.parameter != "link_efficiency") continue;
    if (pieces++ > 0) CHECK(entry.valid_low == end);
    end = entry.valid_high;
  }
  CHECK(pieces > 1);
  CHECK(end == static_cast<double>(sweep.back().size.count));
}

TEST_CASE("no piece spans a jump of the efficiency, wherever it is") {
  for (const std::uint64_t border : {1ull << 22, 1ull << 24, 1ull << 27, 1ull << 30}) {
    std::vector<SizeTime> sweep;
    for (std::uint64_t size = 1 << 10; size <= (1ull << 32); size *= 2) {
      const double wire = 1.75 * static_cast<double>(size) / nvlink.line.bytes_per_second;
      sweep.push_back(
          {bytes(size), microseconds(14 * 2.5) + seconds(wire / (size < border ? 0.8 : 0.5))});
    }
    const auto fit = fit_links(nvlink, Operation::all_reduce, 8, sweep, "made");
    REQUIRE(fit);
    for (const auto& entry : fit->entries) {
      if (entry.parameter != "link_efficiency") continue;
      const bool above = entry.valid_high >= static_cast<double>(border);
      CHECK(entry.value == Approx(above ? 0.5 : 0.8).epsilon(0.1));
      if (above) CHECK(entry.valid_low >= static_cast<double>(border / 2));
    }
  }
}

TEST_CASE("one size is no sweep; two give a latency and a rate, as a probe does") {
  const std::vector<SizeTime> one{{bytes(8), microseconds(1)}};
  CHECK(to_string(fit_links(nvlink, Operation::broadcast, 8, one, "one").error()) ==
        "one: error: 1 sizes of broadcast; a fit of links needs two\n");
  for (const std::uint64_t large : {16, 1'000'000, 1'000'000'000}) {
    const std::vector<SizeTime> two{
        {bytes(8), microseconds(10)},
        {bytes(large), microseconds(10 + static_cast<double>(large) / 1e5)}};
    const auto fit = fit_links(nvlink, Operation::broadcast, 2, two, "two");
    REQUIRE(fit);
    CHECK(fit->residual < 0.01);
    CHECK(std::isfinite(fit->left_out));
    CHECK(fit->entries.front().parameter == "software_latency");
    CHECK(fit->entries.size() == 2);
  }
}

TEST_CASE("railwright calibrate writes a file that the commands can lay over the defaults") {
  const Folder folder;
  const std::string output = folder.file("calibration.json");
  const auto outcome =
      run_command("calibrate " + test::source_file(h100_sweep) + " -o " + output + " --json");
  REQUIRE(outcome.status == 0);
  const auto fits = outcome.json()["fits"];
  REQUIRE(fits.size() == 2);
  CHECK(fits[0]["what"] == "links: all_reduce, 4 x h100-sxm5-80gb");
  CHECK(fits[0]["residual"].get<double>() < 0.1);
  CHECK(fits[0]["left_out"].get<double>() < 0.2);
  const auto calibration = topology::load_calibration(output);
  REQUIRE(calibration);
  CHECK(calibration->value_or("nvlink-4", "link_efficiency", 0) > 0.6);
  CHECK(calibration->value_or("nvlink-4", "link_efficiency", 1) <= 1);
  const auto small = topology::at_size(*calibration, mebibytes(2));
  CHECK(small.value_or("nvlink-4", "link_efficiency", 1) <
        calibration->value_or("nvlink-4", "link_efficiency", 0));
  CHECK(run_command("validate --quick --calibration " + output).status == 0);
}

// Two ranks on two cores of a quiet machine, twice: what the one teaches has to hold for the other,
// through caches that end in between (shared memory reaches 37 to 66 per cent of its line rate).
TEST_CASE("after a sweep on this machine, localhost is predicted within a fifth from 64 KiB on") {
  const std::string runs[] = {test::source_file("tests/coordinator/data/bench-shm.json"),
                              test::source_file("tests/coordinator/data/bench-shm-again.json")};
  const Folder folder;
  for (const std::string& run : runs) {
    const std::string output = folder.file("here.json");
    REQUIRE(run_command("calibrate " + run + " -o " + output).status == 0);
    const auto predicted = run_command(
                               "collective --cluster localhost --ranks 2 --begin 64K --end 64M "
                               "--algorithm ring --json "
                               "--calibration " +
                               output)
                               .json()["results"];
    REQUIRE(predicted.size() == 11);
    for (const std::string& measured : runs) {
      const auto rows = nlohmann::json::parse(test::read_text(measured))["results"];
      REQUIRE(rows.back()["bytes"] == 64 << 20);
      for (std::size_t i = 0; i < predicted.size(); ++i) {
        const auto& row = rows[rows.size() - predicted.size() + i];
        REQUIRE(predicted[i]["bytes"] == row["bytes"]);
        CHECK(predicted[i]["time_s"].get<double>() ==
              Approx(row["time_s"].get<double>()).epsilon(0.2));
      }
    }
  }
}

TEST_CASE("railwright calibrate says what is wrong and writes nothing") {
  const Folder folder;
  const std::string output = folder.file("calibration.json");
  const auto refused = [&](const std::string& arguments, const std::string& says) {
    INFO(arguments);
    const auto outcome = run_command("calibrate " + arguments + " -o " + output);
    CHECK(outcome.status == 2);
    CHECK(outcome.err.find(says) != std::string::npos);
    CHECK(folder.empty());
  };
  refused("/nowhere.txt", "/nowhere.txt: error:");
  const std::string sweep = test::source_file(h100_sweep);
  refused(sweep + " --subject some-blog", "--subject 'some-blog' is no link kind");
  refused(sweep + " --op sort", "--op 'sort' is no collective");
  refused(sweep + " --nic 400", "--nic");
}
