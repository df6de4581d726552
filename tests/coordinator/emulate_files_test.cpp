// What `railwright emulate` writes beside its report, and how a step that stands still is told.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <sstream>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string described =
    "emulate --model " + source_file("examples/models/llama-3.1-8b.json") + " --cluster " +
    source_file("examples/clusters/dgx-h100-4.yaml") +
    " --parallel tp=4,pp=2,dp=4,zero_stage=1 --global-batch 32 --sequence 4096";

std::vector<std::vector<std::string>> csv_of(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto& row = rows.emplace_back();
    std::istringstream cells(line + ",");
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
  }
  return rows;
}

}  // namespace

TEST_CASE("a trace keeps the trace event format, streams in order, Kineto's names") {
  const Folder folder;
  const Outcome run = run_command(described + " --json --trace " + folder.file("trace.json"));
  INFO(run.err);
  REQUIRE(run.status == 0);
  const double step = run.json()["step_time_s"];
  const auto trace = nlohmann::json::parse(read_text(folder.file("trace.json")));
  CHECK(trace["distributedInfo"]["world_size"] == 32);
  CHECK(trace["otherData"]["events_left_out"] == 0);
  std::map<std::pair<int, int>, double> busy_until;
  std::set<std::string> phases, collectives, dtypes;
  double last = 0;
  for (const auto& event : trace["traceEvents"]) {
    phases.insert(event["ph"].get<std::string>());
    if (event["ph"] == "C") {
      CHECK(event["args"]["utilization"].get<double>() >= 0);
      CHECK(event["args"]["utilization"].get<double>() <= 1 + 1e-6);
    }
    if (event["ph"] != "X") continue;
    const double from = event["ts"], to = from + event["dur"].get<double>();
    last = std::max(last, to);
    if (event["cat"] != "kernel") continue;
    double& free = busy_until[{event["pid"], event["tid"]}];
    CHECK(from >= free - 1e-5);  // microseconds
    free = to;
    const auto& args = event["args"];
    CHECK(args["stream"] == event["tid"]);
    if (!args.contains("Collective name")) continue;
    CHECK_THAT(event["name"].get<std::string>(), Catch::Matchers::StartsWith("ncclDevKernel_"));
    collectives.insert(args["Collective name"].get<std::string>());
    CHECK(args["In msg nelems"].is_number_unsigned());
    CHECK(args["Out msg nelems"].is_number_unsigned());
    CHECK(args["Group size"].get<int>() >= 2);
    dtypes.insert(args["Process Group Description"].get<std::string>() + " " +
                  args["Collective name"].get<std::string>() + " " +
                  args["dtype"].get<std::string>());
  }
  // Gradients and the loss in fp32, weights and activations in 16 bits; the sum of the norm, too.
  CHECK(dtypes ==
        std::set<std::string>{"dp _allgather_base BFloat16", "dp _reduce_scatter_base Float",
                              "dp allreduce Float", "pp allreduce Float", "pp recv BFloat16",
                              "pp send BFloat16", "tp allreduce BFloat16", "tp allreduce Float"});
  CHECK(phases == std::set<std::string>{"C", "M", "X"});
  CHECK(last * 1e-6 == Approx(step).epsilon(1e-9));
  CHECK(collectives.contains("_allgather_base"));
  CHECK(collectives.contains("send"));
  CHECK(collectives.contains("recv"));
}

// What a reader of the format relies on: fields by phase, slices of a track that nest, counters
// that go forward in time, no process or thread that nobody named.
TEST_CASE("a trace is well formed by the letter of its format") {
  const Folder folder;
  REQUIRE(run_command(described + " --trace " + folder.file("trace.json")).status == 0);
  const auto trace = nlohmann::json::parse(read_text(folder.file("trace.json")));
  REQUIRE(trace["traceEvents"].size() > 1000);
  std::set<int> named_processes;
  std::set<std::pair<int, int>> named_threads;
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> slices;
  std::map<std::string, double> counted_until;
  for (const auto& event : trace["traceEvents"]) {
    INFO(event.dump());
    const std::string phase = event.at("ph"), name = event.at("name");
    const int process = event.at("pid").get<int>(), thread = event.at("tid").get<int>();
    REQUIRE_FALSE(name.empty());
    REQUIRE(event.at("args").is_object());
    if (phase == "M") {
      if (name == "process_name") named_processes.insert(process);
      if (name == "thread_name") named_threads.insert({process, thread});
      continue;
    }
    REQUIRE(named_processes.contains(process));
    REQUIRE(event.at("ts").get<double>() >= 0);
    if (phase == "C") {
      double& until = counted_until.try_emplace(name, -1).first->second;
      REQUIRE(event["ts"].get<double>() > until);
      until = event["ts"];
      REQUIRE(event["args"].size() == 1);
      REQUIRE(event["args"].begin()->is_number());
      continue;
    }
    REQUIRE(phase == "X");
    REQUIRE(named_threads.contains({process, thread}));
    REQUIRE(event.at("dur").get<double>() >= 0);
    REQUIRE(event.at("cat").is_string());
    slices[{process, thread}].emplace_back(event["ts"],
                                           event["ts"].get<double>() + event["dur"].get<double>());
  }
  CHECK(counted_until.size() > 0);
  // Exactly, with the sums as a reader forms them, and each outer slice before its inner ones:
  // speedscope closes slices wrongly where one ends 1e-10 us behind the next one's begin.
  for (auto& [track, spans] : slices) {
    REQUIRE(std::ranges::is_sorted(spans, [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    }));
    std::vector<double> open;
    for (const auto& [from, to] : spans) {
      while (!open.empty() && open.back() <= from) open.pop_back();
      if (!open.empty()) REQUIRE(to <= open.back());
      open.push_back(to);
    }
  }
}

TEST_CASE("timeline and links as tables: they end with the step and add up to the document") {
  const Folder folder;
  const Outcome run = run_command(described + " --json --timeline " + folder.file("t.csv") +
                                  " --links " + folder.file("l.csv"));
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto document = run.json();
  const auto timeline = csv_of(read_text(folder.file("t.csv")));
  REQUIRE(timeline.size() > 100);
  CHECK(timeline[0].back() == "end_s");
  double last = 0;
  std::set<std::string> stages;
  for (std::size_t i = 1; i < timeline.size(); ++i) {
    REQUIRE(timeline[i].size() == timeline[0].size());
    CHECK(std::stod(timeline[i][9]) <= std::stod(timeline[i][10]));
    CHECK(std::stod(timeline[i][10]) <= std::stod(timeline[i][11]));
    last = std::max(last, std::stod(timeline[i][11]));
    stages.insert(timeline[i][2]);
  }
  CHECK(last == Approx(document["step_time_s"].get<double>()).epsilon(1e-9));
  CHECK(stages == std::set<std::string>{"0", "1"});
  std::map<std::string, double> of_class, of_links;
  const auto links = csv_of(read_text(folder.file("l.csv")));
  for (std::size_t i = 1; i < links.size(); ++i)
    (links[i][1].empty() ? of_class : of_links)[links[i][0]] += std::stod(links[i][3]);
  REQUIRE(of_class.size() == document["link_classes"].size());
  for (const auto& entry : document["link_classes"]) {
    const std::string name = entry["class"];
    CHECK(of_class[name] == Approx(entry["bytes"].get<double>()));
    CHECK(of_links[name] == Approx(entry["bytes"].get<double>()));
    CHECK(entry["utilization"].get<double>() <= 1);
  }
}

TEST_CASE("the page stands by itself and the same run writes the same bytes") {
  const Folder folder;
  for (const char* name : {"a.html", "b.html"})
    REQUIRE(run_command(described + " --report " + folder.file(name)).status == 0);
  const std::string page = read_text(folder.file("a.html"));
  CHECK(page == read_text(folder.file("b.html")));
  CHECK_THAT(page, Contains("Where the time goes") && Contains("tensor_peak") &&
                       Contains("What a tenth more would give") && Contains("Timeline") &&
                       Contains("rank 0, stage 0, node0/gpu0") && !Contains("<script") &&
                       !Contains("http"));
  CHECK(page.size() < 2'000'000);
}

TEST_CASE("a step that stands still ends with status 1 and names who died and who hangs") {
  const Folder folder;
  const std::string faults = folder.write(
      "faults.yaml",
      "schema_version: 1\nevents:\n  - {target: node1/gpu2, kind: dead, at: 100 ms}\n");
  const Outcome run = run_command(described + " --json --faults " + faults);
  CHECK(run.status == 1);
  CHECK_THAT(run.err, Contains("step 1 stands still at") && Contains("node1/gpu2 since 100 ms") &&
                          Contains("what hangs:") && Contains("10 (node1/gpu2)"));
  const auto standstill = run.json()["standstill"];
  CHECK(standstill["at_s"].get<double>() >= 0.1);
  CHECK(standstill["lost"][0]["target"] == "node1/gpu2");
  REQUIRE(standstill["hung"].size() >= 2);
  const auto first = standstill["hung"][0]["ranks"].get<std::vector<int>>();
  CHECK(std::ranges::find(first, 10) != first.end());
  CHECK_FALSE(run.json().contains("step_time_s"));
}

TEST_CASE("a flap delays the step in which it strikes; the same seed gives the same run") {
  const Folder folder;
  const double healthy = run_command(described + " --json").json()["step_time_s"];
  const auto with = [&](const std::string& event) {
    return " --faults " +
           folder.write("faults.yaml", "schema_version: 1\nevents:\n  - " + event + "\n");
  };
  const std::string flap = with("{target: rail-fibre, kind: flap, at: 1 ms, duration: 300 ms}");
  const auto hurt = run_command(described + flap + " --json").json();
  CHECK(hurt["step_time_s"].get<double>() > healthy + 0.01);
  bool recovery = false;
  for (const auto& entry : hurt["blame"]) recovery = recovery || entry["cause"] == "recovery";
  CHECK(recovery);
  // A step of a second or so: of 32 cables' flaps, 1e7 a year each, some ten strike in it.
  const std::string random =
      with("{target: rail-fibre, kind: flap, rate: 1e7/year, duration: 20 ms}");
  const auto one = run_command(described + random + " --json --seed 3").json();
  const auto again = run_command(described + random + " --json --seed 3").json();
  const auto other = run_command(described + random + " --json --seed 4").json();
  CHECK(one["step_time_s"] == again["step_time_s"]);
  CHECK(one["step_time_s"] != other["step_time_s"]);
}

TEST_CASE("the steps of each job are as uncertain as its own accelerators") {
  const Folder folder;
  const std::string model = "emulate --json --model " +
                            source_file("examples/models/tiny-gpt.json") + " --cluster " +
                            source_file("examples/clusters/mixed-h100-a100.yaml") +
                            " --parallel tp=2,dp=4 --global-batch 64 --sequence 1024";
  const std::string a = folder.file("a.json"), b = folder.file("b.json");
  std::vector<double> alone;
  for (const std::string& more : {" -o " + a, " --first-node 2 -o " + b})
    alone.push_back(run_command(model + more).json()["uncertainty"]);
  CHECK(alone[0] != alone[1]);  // H100 and A100 have residuals of their own
  const std::string both = "emulate --plan " + a + " --plan " + b;
  const auto jobs = run_command(both + " --json").json()["jobs"];
  REQUIRE(jobs.size() == 2);
  for (std::size_t j = 0; j < jobs.size(); ++j) CHECK(jobs[j]["uncertainty"] == alone[j]);
  CHECK_THAT(run_command(both).out, Contains(" +- "));
}

TEST_CASE("two jobs on nodes of their own: what they lose to each other is told") {
  const Folder folder;
  const std::string model = "emulate --model " + source_file("examples/models/tiny-gpt.json") +
                            " --cluster " + source_file("examples/clusters/dgx-h100-4.yaml") +
                            " --parallel tp=2,dp=8 --global-batch 64 --sequence 1024";
  const std::string a = folder.file("a.json"), b = folder.file("b.json");
  REQUIRE(run_command(model + " -o " + a).status == 0);
  REQUIRE(run_command(model + " --first-node 2 -o " + b).status == 0);
  const Outcome run = run_command("emulate --json --plan " + a + " --plan " + b);
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto jobs = run.json()["jobs"];
  REQUIRE(jobs.size() == 2);
  for (const auto& job : jobs) {
    // Two nodes under the leaves of their rails each: no link is shared.
    CHECK(job["step_time_s"] == job["alone_step_time_s"]);
    CHECK(job["lost_to"].empty());
  }
  CHECK(jobs[0]["step_time_s"] == run_command("emulate --json --plan " + a).json()["step_time_s"]);
  CHECK(jobs[0]["uncertainty"] == run_command("emulate --json --plan " + a).json()["uncertainty"]);
  const Outcome same = run_command("emulate --json --plan " + a + " --plan " + a);
  CHECK(same.status == 2);
  CHECK_THAT(same.err, Contains("both use node0/gpu0 on node0") && Contains("--first-node"));
  const Outcome served =
      run_command("emulate --plan " + a + " --plan " + b + " --listen 127.0.0.1:0");
  CHECK(served.status == 2);
  CHECK_THAT(served.err, Contains("--listen takes one --plan"));
}
