#include "telemetry/telemetry.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "tests/telemetry/scrape.hpp"

namespace railwright::telemetry {
namespace {

Snapshot full_snapshot() {
  Snapshot snapshot;
  snapshot.mode = "emulated";
  snapshot.plan = {{"tp", "2"}, {"pp", "1"}, {"dp", "2"}};
  snapshot.links = {{"", "nvlink", "emulated", 1e9, 1e9, 450e9, 0.5, 0.1},
                    {"node0/gpu0->node0/switch", "nvlink", "emulated", 5e8, 5e8, 450e9, 0.2, 0}};
  snapshot.step_duration = Histogram::around(milliseconds(100));
  snapshot.step_duration.observe(milliseconds(120));
  snapshot.steps = 1;
  snapshot.blame_seconds = {{"tensor_peak", 0.08}, {"link:nvlink", 0.04}};
  snapshot.collectives = {
      {"all_reduce", "ring", "dp", Histogram::around(milliseconds(10)), 0.01, 1e9, 0.008}};
  snapshot.rank_wait_seconds = {{0, 0.01}, {1, 0.0}};
  snapshot.hbm_used_bytes = 6e10;
  snapshot.hbm_capacity_bytes = 8e10;
  snapshot.predicted_step_seconds = 0.1;
  snapshot.prediction_ratio = 1.2;
  snapshot.workers = {{"running", 4}};
  snapshot.virtual_time_seconds = 0.12;
  snapshot.job_state = "running";
  snapshot.power_watts = 700;
  snapshot.last_heartbeat_seconds = 1.7e9;
  return snapshot;
}

std::string run_command(const std::string& command, int& status) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  status = pclose(pipe);
  return output;
}

bool have_promtool() { return std::system("promtool --version >/dev/null 2>&1") == 0; }

void check_with_promtool(const std::string& text) {
  if (!have_promtool()) {
    WARN("promtool is not installed (apt-get install prometheus): not checked with it");
    return;
  }
  const std::string path = fmt::format("/tmp/railwright_telemetry_{}.prom", getpid());
  std::ofstream(path) << text;
  int status = 0;
  const std::string output = run_command("promtool check metrics <" + path + " 2>&1", status);
  std::remove(path.c_str());
  INFO(output);
  CHECK(status == 0);
}

// The value after `series`, as it stands at the start of a line.
double value_of(const std::string& text, const std::string& series) {
  const std::size_t at = ("\n" + text).find("\n" + series + " ");
  INFO(series << " in\n" << text);
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + series.size()));
}

TEST_CASE("every metric of the contract is in the text of a full snapshot") {
  const std::string text = render(full_snapshot());
  for (const char* name : {"link_transmit_bytes_total",
                           "link_receive_bytes_total",
                           "link_capacity_bytes_per_second",
                           "link_busy_seconds_total",
                           "link_wait_seconds_total",
                           "step_duration_seconds",
                           "steps_total",
                           "step_blame_seconds_total",
                           "collective_duration_seconds",
                           "collective_expected_seconds",
                           "collective_bytes_total",
                           "collective_bound_seconds",
                           "job_state",
                           "power_watts",
                           "worker_last_heartbeat_timestamp_seconds",
                           "rank_wait_seconds_total",
                           "hbm_used_bytes",
                           "hbm_capacity_bytes",
                           "predicted_step_seconds",
                           "prediction_ratio",
                           "workers",
                           "plan_info",
                           "build_info",
                           "mode_info",
                           "virtual_time_seconds_total"}) {
    INFO(name);
    CHECK(text.find(fmt::format("# TYPE railwright_{} ", name)) != std::string::npos);
    CHECK(text.find(fmt::format("# HELP railwright_{} ", name)) != std::string::npos);
  }
}

TEST_CASE("promtool accepts the text, with every field set and with none") {
  check_with_promtool(render(full_snapshot()));
  check_with_promtool(render(Snapshot{}));
}

TEST_CASE("odd label values are escaped") {
  Snapshot snapshot = full_snapshot();
  snapshot.links[1].link = "a\"b\\c\nd->é";
  snapshot.plan["model"] = "my \"model\"\\7b\n";
  const std::string text = render(snapshot);
  CHECK(text.find(R"(link="a\"b\\c\nd->é")") != std::string::npos);
  CHECK(text.find(R"(model="my \"model\"\\7b\n")") != std::string::npos);
  check_with_promtool(text);
}

TEST_CASE("label names that Prometheus refuses are left out") {
  Snapshot snapshot = full_snapshot();
  snapshot.plan["micro-batch"] = "1";
  snapshot.plan["__name__"] = "x";
  snapshot.plan["8x"] = "x";
  const std::string text = render(snapshot);
  CHECK(text.find("micro-batch") == std::string::npos);
  CHECK(text.find("__name__") == std::string::npos);
  check_with_promtool(text);
}

TEST_CASE("values that are not finite never reach the text") {
  Snapshot snapshot = full_snapshot();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  snapshot.links[0].busy_seconds = nan;
  snapshot.blame_seconds["hbm"] = std::numeric_limits<double>::infinity();
  snapshot.prediction_ratio = nan;
  snapshot.step_duration.observe(seconds(nan));
  snapshot.collectives[0].duration.sum = nan;
  const std::string text = render(snapshot);
  CHECK(text.find("an\n") == std::string::npos);  // Nan, NaN, nan
  CHECK(text.find(" +Inf\n") == std::string::npos);
  CHECK(text.find("{cause=\"hbm\"}") == std::string::npos);
  check_with_promtool(text);
}

TEST_CASE("at most ten links are named, the busiest ones, and every class stays") {
  Snapshot snapshot;
  for (int i = 0; i < 100; ++i)
    snapshot.links.push_back(
        {fmt::format("link{:02}", i), "rail", "emulated", i * 1.0, 0, 1, 0, 0});
  for (int i = 0; i < 20; ++i)
    snapshot.links.push_back({"", fmt::format("class{:02}", i), "emulated", 1, 1, 1, 0, 0});
  std::istringstream lines(render(snapshot));
  int series = 0, named = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("railwright_link_transmit_bytes_total{", 0) != 0) continue;
    ++series;
    named += line.find("link=\"link9") != std::string::npos;
  }
  CHECK(series == 30);
  CHECK(named == 10);
}

TEST_CASE("the link that holds a class back is named beside a class that moves more") {
  Snapshot snapshot;
  for (int i = 0; i < 30; ++i) {
    snapshot.links.push_back({fmt::format("nv{}", i), "nvlink", "attributed", 1e12, 0, 1, 0, 0});
    snapshot.links.push_back(
        {fmt::format("fibre{}", i), "rail", "attributed", 1e9, 0, 1, 0, i == 17 ? 5.0 : 1.0});
  }
  const std::string text = render(snapshot);
  CHECK(text.find("link=\"fibre17\"") != std::string::npos);
  CHECK(text.find("class=\"nvlink\",source=\"attributed\",link=") != std::string::npos);
}

TEST_CASE("samples with the same labels are merged, not repeated") {
  Snapshot snapshot = full_snapshot();
  snapshot.links.push_back(snapshot.links[0]);
  CollectiveSample larger = snapshot.collectives[0];
  larger.duration = Histogram::around(milliseconds(80));
  larger.duration.observe(milliseconds(80));
  larger.expected_seconds = 0.08;
  snapshot.collectives[0].duration.observe(milliseconds(10));
  snapshot.collectives.push_back(larger);
  const std::string text = render(snapshot);
  CHECK(
      value_of(text, R"(railwright_link_transmit_bytes_total{class="nvlink",source="emulated"})") ==
      Approx(2e9));
  const std::string labels = R"({op="all_reduce",algorithm="ring",group="dp"})";
  CHECK(value_of(text, "railwright_collective_duration_seconds_count" + labels) == 2);
  CHECK(value_of(text, "railwright_collective_duration_seconds_sum" + labels) == Approx(0.09));
  CHECK(value_of(text, "railwright_collective_expected_seconds" + labels) == Approx(0.045));
  check_with_promtool(text);
}

TEST_CASE("a histogram counts every finite value once, in the bucket that holds it") {
  const std::uint64_t seed = 7;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  Histogram histogram = Histogram::around(milliseconds(3));
  CHECK(histogram.bounds.size() == 12);
  std::vector<std::uint64_t> expected(histogram.bounds.size(), 0);
  double sum = 0;
  for (int i = 0; i < 1000; ++i) {
    const double value = static_cast<double>(random() >> 11) * 0x1p-53 * 10;
    histogram.observe(seconds(value));
    sum += value;
    for (std::size_t b = 0; b < expected.size(); ++b) expected[b] += value <= histogram.bounds[b];
  }
  std::uint64_t cumulative = 0;
  for (std::size_t b = 0; b < expected.size(); ++b) {
    cumulative += histogram.counts[b];
    CHECK(cumulative == expected[b]);
  }
  CHECK(cumulative + histogram.counts.back() == 1000);
  CHECK(histogram.sum == sum);
}

TEST_CASE("a histogram exactly at a bound belongs below it") {
  Histogram histogram = Histogram::around(seconds(1));
  histogram.observe(seconds(histogram.bounds[4]));
  CHECK(histogram.counts[4] == 1);
}

TEST_CASE("an exporter serves the latest snapshot over HTTP and its counters never go back") {
  auto exporter = Exporter::listen("127.0.0.1:0");
  REQUIRE(exporter);
  REQUIRE((*exporter)->port() > 0);
  double steps = -1, bytes = -1;
  Snapshot snapshot = full_snapshot();
  for (int i = 0; i < 5; ++i) {
    snapshot.steps += 1;
    snapshot.links[0].transmit_bytes += 1e6;
    (*exporter)->publish(snapshot);
    const std::string page = scrape((*exporter)->port(), "/metrics");
    REQUIRE(page.rfind("HTTP/1.1 200", 0) == 0);
    const std::string text = page.substr(page.find("\r\n\r\n") + 4);
    const double steps_now = value_of(text, "railwright_steps_total");
    const double bytes_now =
        value_of(text, R"(railwright_link_transmit_bytes_total{class="nvlink",source="emulated"})");
    CHECK(steps_now > steps);
    CHECK(bytes_now > bytes);
    steps = steps_now;
    bytes = bytes_now;
    if (i == 4) check_with_promtool(text);
  }
  CHECK((*exporter)->text() == render(snapshot));
  CHECK(scrape((*exporter)->port(), "/nothing").rfind("HTTP/1.1 404", 0) == 0);
  const std::string targets = scrape((*exporter)->port(), "/sd");
  CHECK(targets.find("Content-Type: application/json") != std::string::npos);
  CHECK(targets.find(fmt::format("[{{\"targets\":[\"127.0.0.1:{}\"],\"labels\":{{}}}}]",
                                 (*exporter)->port())) != std::string::npos);
}

TEST_CASE("a busy port is a returned error that says so") {
  auto first = Exporter::listen("127.0.0.1:0");
  REQUIRE(first);
  const std::string address = fmt::format("127.0.0.1:{}", (*first)->port());
  auto second = Exporter::listen(address);
  REQUIRE_FALSE(second);
  const std::string message = to_string(second.error());
  INFO(message);
  CHECK(message.find("address " + address + " is in use") != std::string::npos);
  CHECK(message.find("choose another port") != std::string::npos);
}

TEST_CASE("a malformed address is a returned error") {
  for (const char* address : {"", "9400", ":9400", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http",
                              "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:94 00"}) {
    INFO(address);
    auto exporter = Exporter::listen(address);
    REQUIRE_FALSE(exporter);
    CHECK(to_string(exporter.error()).find("write host:port") != std::string::npos);
  }
  CHECK_FALSE(Exporter::listen("no.such.host.invalid:9400"));
  CHECK_FALSE(Exporter::listen("192.0.2.1:9400"));  // TEST-NET-1: never an address of this machine
}

}  // namespace
}  // namespace railwright::telemetry
