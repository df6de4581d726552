#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <filesystem>

#include <catch2/catch.hpp>
#include <fstream>
#include <regex>
#include <thread>

#include "command.hpp"
#include "coordinator/emulation/report.hpp"

using namespace railwright;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string cluster = " --cluster " + source_file("examples/clusters/dgx-h100-4.yaml");
const std::string model = " --model " + source_file("examples/models/llama-3.1-8b.json");
const std::string batch = " --global-batch 32 --sequence 4096";
const std::string parallel = " --parallel tp=4,dp=8,zero_stage=1";
const std::string described = "emulate" + model + cluster + parallel + batch;

// A port that was taken and is taken until the end of the test.
class TakenPort {
 public:
  TakenPort() : handle_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool taken = bind(handle_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       listen(handle_, 1) == 0 &&
                       getsockname(handle_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    REQUIRE(taken);
    port_ = ntohs(address.sin_port);
  }
  ~TakenPort() { close(handle_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  int port() const { return port_; }

 private:
  int handle_;
  int port_ = 0;
};

// What GET /metrics answers; "" when nobody does.
std::string scrape(int port) {
  const int handle = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  std::string answer;
  if (connect(handle, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    if (write(handle, request.data(), request.size()) > 0) {
      char buffer[4096];
      for (ssize_t n = 0; (n = read(handle, buffer, sizeof buffer)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(n));
    }
  }
  close(handle);
  return answer;
}

double metric(const std::string& text, const std::string& name) {
  std::smatch found;
  const std::regex line("(?:^|\\n)" + name + " ([-+.0-9e]+)");
  return std::regex_search(text, found, line) ? std::stod(found[1]) : -1;
}

}  // namespace

TEST_CASE("--no-fold runs every rank, to the same time") {
  const auto folded = run_command(described + " --json").json();
  const auto plain = run_command(described + " --json --no-fold").json();
  CHECK(plain["classes"] == 32);
  CHECK(folded["classes"] < plain["classes"]);
  CHECK(folded["step_time_s"].get<double>() ==
        Approx(plain["step_time_s"].get<double>()).epsilon(1e-9));
}

TEST_CASE("emulate --json has the keys of the contract, and blame adds up to the step") {
  const Outcome run = run_command(described + " --json");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto document = run.json();
  for (const char* key : {"step_time_s", "uncertainty", "mfu", "blame", "links", "events", "ranks",
                          "wall_s", "peak_rss_bytes"})
    CHECK(document.contains(key));
  REQUIRE(document["sensitivities"].size() >= 3);  // tensor, hbm, and links
  for (const auto& entry : document["sensitivities"]) {
    CHECK(entry["change"] == 0.1);
    CHECK(entry["step_time_s"].get<double>() <= document["step_time_s"].get<double>());
    CHECK(entry["gain"].get<double>() < 0.1);  // no more than what it gets more of
  }
  CHECK_FALSE(
      run_command(described + " --json --no-sensitivities").json().contains("sensitivities"));
  CHECK(document["ranks"] == 32);
  CHECK(document["classes"] >= 1);
  CHECK(document["classes"] <= 32);
  std::int64_t picoseconds = 0;
  for (const auto& entry : document["blame"]) {
    picoseconds += entry["picoseconds"].get<std::int64_t>();
    CHECK(entry["cause"] != "other");
  }
  CHECK(static_cast<double>(picoseconds) * 1e-12 ==
        Approx(document["step_time_s"].get<double>()).epsilon(1e-12));
  for (const auto& link : document["links"]) {
    CHECK(link["utilization"].get<double>() <= 1);
    CHECK(link.contains("name"));
    CHECK(link.contains("class"));
  }
}

TEST_CASE("K steps take K times one step") {
  const auto one = run_command(described + " --json").json();
  const auto five = run_command(described + " --steps 5 --json").json();
  CHECK(five["steps"] == 5);
  CHECK(five["virtual_time_s"].get<double>() ==
        Approx(5 * one["step_time_s"].get<double>()).epsilon(1e-12));
  CHECK(five["blame"] == one["blame"]);
}

TEST_CASE("emulate prints where the time goes in shares of a hundred") {
  const Outcome run = run_command(described);
  REQUIRE(run.status == 0);
  CHECK_THAT(run.out, Contains("where the time goes") && Contains("holds back") &&
                          Contains("tensor_peak") && Contains("100.0%"));
}

TEST_CASE("printed shares add up to a hundred per cent, however small the causes") {
  const emulator::Blame blame = {{"a", {3333}}, {"b", {3333}}, {"c", {3333}}, {"d", {1}}};
  int sum = 0;
  for (const int share : coordinator::per_mille(blame)) sum += share;
  CHECK(sum == 1000);
}

TEST_CASE("a plan written with -o is emulated to what it predicts") {
  const Folder folder;
  const std::string path = folder.file("plan.json");
  REQUIRE(run_command(described + " -o " + path).status == 0);
  const auto plan = nlohmann::json::parse(read_text(path));
  const Outcome again = run_command("emulate --plan " + path + cluster + " --json");
  INFO(again.err);
  REQUIRE(again.status == 0);
  CHECK(again.json()["step_time_s"] == plan["prediction"]["step_time_s"]);
  CHECK(again.json()["blame"] == plan["prediction"]["blame"]);
}

TEST_CASE("a plan of another cluster is refused with status 2") {
  const Folder folder;
  const std::string path = folder.file("plan.json");
  REQUIRE(run_command(described + " -o " + path).status == 0);
  const Outcome run = run_command("emulate --plan " + path + " --cluster dgx-a100");
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains("plan of another cluster"));
}

TEST_CASE("what cannot be emulated is refused before anything is written") {
  const Folder folder;
  const auto refuses = [&](const std::string& arguments, int status, const std::string& words) {
    const Outcome run = run_command(arguments + " -o " + folder.file("plan.json"));
    INFO(arguments << "\n" << run.err);
    CHECK(run.status == status);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains("error:") && Contains(words));
    CHECK(folder.empty());
  };
  refuses("emulate" + model + cluster + batch, 2, "--parallel is missing");
  refuses("emulate" + model + cluster + batch + " --parallel tp=3", 2, "tp");
  refuses("emulate" + model + cluster + batch + " --parallel tpp=3", 2,
          "error: --parallel: unknown degree 'tpp'; did you mean 'pp' or 'tp' or 'vpp'?");
  refuses("emulate" + model + cluster + batch + " --parallel tp=8,dp=8", 2, "needs 64");
  refuses(described + " --steps 1000000000", 2, "106 days");
  refuses("emulate" + model + cluster + " --parallel tp=8,dp=4 --global-batch -4 --sequence 8192",
          2, "between 1 and");
  refuses("emulate --plan nowhere.json", 2, "nowhere.json");
  refuses(described + " --plan nowhere.json", 2, "--plan already says");
  refuses(described + " --faults nowhere.yaml", 2, "nowhere.yaml");
  refuses(described + " --trace /no/such/folder/t.json", 2, "/no/such/folder");
  refuses(described + " --first-node 4", 2, "nodes 0 to 3");
  refuses(described + " --first-node 1", 2, "has 24 from the first node on");
  refuses("emulate --model llama-3.1-405b" + cluster + batch + " --parallel tp=8,dp=4", 3,
          "does not fit");
  refuses(described + " --listen 0.0.0.0:0", 2, "--allow-remote");
  refuses(described + " --listen nonsense", 2, "nonsense");
  refuses(described + " --listen 127.0.0.1:0 --speed fast", 2, "--speed 'fast'");
  refuses(described + " --listen 127.0.0.1:0 --speed max", 2, "--steps");
}

TEST_CASE("--ignore-memory emulates what does not fit") {
  const std::string huge = "emulate --model llama-3.1-405b --parallel tp=8,dp=4" + cluster + batch;
  CHECK(run_command(huge + " --ignore-memory").status == 0);
}

TEST_CASE("a busy port is refused with status 2") {
  const TakenPort taken;
  const Outcome run =
      run_command(described + " --listen 127.0.0.1:" + std::to_string(taken.port()));
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("is in use"));
}

TEST_CASE("the example's faults show as straggler and lengthen the step") {
  const std::string faults = " --faults " + source_file("examples/faults/degraded-rail.yaml");
  const auto whole = run_command(described + " --json").json();
  const auto hurt = run_command(described + faults + " --json").json();
  CHECK(hurt["step_time_s"].get<double>() > whole["step_time_s"].get<double>());
  bool straggler = false;
  for (const auto& entry : hurt["blame"]) straggler = straggler || entry["cause"] == "straggler";
  CHECK(straggler);
}

TEST_CASE("a fault strikes in the step in which its time lies") {
  const Folder folder;
  const double step = run_command(described + " --json").json()["step_time_s"];
  const std::string faults = folder.write(
      "faults.yaml", "schema_version: 1\nevents:\n  - {target: rail-fibre, kind: degraded, at: " +
                         std::to_string(1.5 * step) + " s, factor: 0.01}\n");
  const auto run = [&](int steps) {
    return run_command(described + " --faults " + faults + " --json --steps " +
                       std::to_string(steps))
        .json();
  };
  CHECK(run(1)["step_time_s"] == step);
  const double second = run(2)["step_time_s"], third = run(3)["step_time_s"];
  CHECK(second > step);
  CHECK(third >= second);
  CHECK(run(4)["step_time_s"] == third);
}

TEST_CASE("--listen serves the counters of K steps until a signal") {
  const Folder folder;
  const std::string log = folder.file("err");
  const std::string binary = std::string(RAILWRIGHT_BINARY_DIR) + "/bin/railwright";
  const std::string command = "trap '' INT; exec " + binary + " " + described +
                              " --listen 127.0.0.1:0 --speed max --steps 3 >/dev/null 2>" + log;
  const char* const arguments[] = {"sh", "-c", command.c_str(), nullptr};
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, "/bin/sh", nullptr, nullptr, const_cast<char* const*>(arguments),
                      environ) == 0);
  std::string text;
  for (int attempt = 0; attempt < 600 && metric(text, "railwright_steps_total") != 3; ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::smatch found;
    const std::string said = read_text(log);
    if (std::regex_search(said, found, std::regex("127\\.0\\.0\\.1:([0-9]+)/")))
      text = scrape(std::stoi(found[1]));
  }
  kill(child, SIGINT);  // ignored by the shell, as in `command &` of a script
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(metric(text, "railwright_steps_total") == 3);
  const double step = run_command(described + " --json").json()["step_time_s"];
  CHECK(metric(text, "railwright_predicted_step_seconds") == Approx(step));
  CHECK(metric(text, "railwright_virtual_time_seconds_total") == Approx(3 * step));
  CHECK_THAT(text, Contains("railwright_step_blame_seconds_total{cause=\"tensor_peak\"}") &&
                       Contains("railwright_link_transmit_bytes_total{class=\"nvlink\"") &&
                       Contains("railwright_collective_duration_seconds_bucket") &&
                       Contains("mode=\"emulated\"") && Contains("cluster_name=\"dgx-h100-4\"") &&
                       Contains("railwright_workers{state=\"running\"} 32") &&
                       Contains("railwright_workers{state=\"lost\"} 0") &&
                       Contains("railwright_job_state{state=\"completed\"} 1") &&
                       Contains("railwright_collective_bound_seconds{") &&
                       Contains("railwright_power_watts ") &&
                       Contains("railwright_worker_last_heartbeat_timestamp_seconds "));
  CHECK_THAT(text, !Contains("cluster=\""));
}

TEST_CASE("an empty output path is an error, and options that do not parse say so as errors") {
  const Outcome none = run_command(described + " -o ''");
  CHECK(none.status == 2);
  CHECK_THAT(none.err, Contains("error: --output: is empty; write the path of a file"));
  const Outcome typo = run_command(described + " --stepz 3");
  CHECK(typo.status == 2);
  CHECK_THAT(typo.err, Contains("error: ") && Contains("--stepz") && Contains("--help"));
}

TEST_CASE("one file for two outputs, and a seed below zero, are refused with status 2") {
  const Folder folder;
  const std::string file = folder.file("both");
  const Outcome twice =
      run_command(described + " --trace " + file + " --timeline " + folder.file("./both"));
  CHECK(twice.status == 2);
  CHECK_THAT(twice.err, Contains("--trace and --timeline write the same file"));
  CHECK(run_command(described + " --trace /dev/null --timeline /dev/null").status == 0);
  const std::string faults = folder.file("faults.yaml");
  std::filesystem::copy_file(source_file("examples/faults/slow-fibre.yaml"), faults);
  const Outcome input = run_command(described + " --faults " + faults + " --links " + faults);
  CHECK(input.status == 2);
  CHECK_THAT(input.err, Contains("--links would overwrite what --faults reads"));
  CHECK_FALSE(std::filesystem::exists(file));
  for (const char* seed : {"-1", "1e3", "18446744073709551616"}) {
    const Outcome run = run_command(described + " --seed=" + seed);
    CHECK(run.status == 2);
    CHECK_THAT(run.err, Contains("--seed") && Contains(seed));
  }
}

TEST_CASE("what does not fit is a document too: the reason, by how much, what to change") {
  const Outcome run =
      run_command("emulate --json --model llama-3.1-405b --parallel tp=8,dp=4" + cluster + batch);
  CHECK(run.status == 3);
  const auto document = run.json();
  CHECK_THAT(document["infeasible_reason"].get<std::string>(), Contains("GiB too much"));
  CHECK_THAT(document["infeasible_hint"].get<std::string>(), Contains("--ignore-memory"));
  CHECK_FALSE(document.contains("step_time_s"));
}

TEST_CASE("an output that cannot be written is refused before anything is emulated") {
  const Outcome run = run_command(described + " --json -o /no/such/folder/plan.json");
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains("/no/such/folder: No such file or directory"));
}
