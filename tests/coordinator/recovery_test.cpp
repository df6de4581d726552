// Real training under what kills it: workers and coordinators that are killed, hangs, lost nodes.
#include <fmt/format.h>
#include <signal.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <thread>

#include "coordinator/service/checkpoints.hpp"
#include "coordinator/service/files.hpp"
#include "live_service.hpp"

using namespace railwright::coordinator;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

using Clock = std::chrono::steady_clock;
constexpr int steps = 150;

const std::string often = fmt::format("--checkpoint-every 10 --steps {} ", steps);

std::string submit(const std::string& id, const std::string& more) {
  return fmt::format(
      "submit --model byte-gpt --accelerators 4 --least-accelerators 2 --global-batch 8 "
      "--sequence 32 --precision fp32 --workload train --text {} "
      "--learning-rate 0.002 --id {} {}",
      source_file("examples/text/signal-box.txt"), id, more);
}

std::map<int, double> losses_of(const nlohmann::json& job) {
  std::map<int, double> losses;
  for (const auto& step : job["result"]["steps"]) losses[step["step"]] = step["loss"];
  return losses;
}

double largest_gap(const std::map<int, double>& some, const std::map<int, double>& all) {
  double gap = 0;
  for (const auto& [step, loss] : some) gap = std::max(gap, std::fabs(loss - all.at(step)));
  return gap;
}

bool waits_for_checkpoint(const LiveService& service, const std::string& id, int least = 1) {
  return within(
      120, [&] { return stored_steps(service.data() + "/jobs/" + id + "/checkpoints") >= least; });
}

double seconds_until_lost(const LiveService& service, const std::string& id, int losses) {
  const auto begin = Clock::now();
  CHECK(within(60, [&] { return service.job(id)["losses"] == losses; }));
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

bool has_event(const nlohmann::json& job, const std::string& text) {
  for (const auto& event : job["events"])
    if (event["reason"].get<std::string>().find(text) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("a job whose worker and node are lost goes on with fewer replicas, on the same curve",
          "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const LiveService service(folder);
  REQUIRE(service.client(submit("calm", often + "--fix dp=4,micro_batch=1")).status == 0);
  REQUIRE(service.reaches("calm", "done"));
  REQUIRE(service.client(submit("lossy", often + "--fix dp=4,micro_batch=1")).status == 0);
  REQUIRE(waits_for_checkpoint(service, "lossy", 30));
  kill(service.workers("/jobs/lossy").at(3), SIGKILL);
  const double seen = seconds_until_lost(service, "lossy", 1);
  WARN("a killed worker was seen after " << seen << " s");
  CHECK(seen <= 2);
  CHECK(service.ask("POST", "/api/v1/nodes/3", R"({"down": true})").status == 200);
  REQUIRE(service.reaches("lossy", "done"));
  const auto calm = service.job("calm"), lossy = service.job("lossy");
  CHECK(has_event(lossy, "the worker of rank 3 was lost"));
  CHECK(has_event(lossy, "3 data-parallel replicas, with up to 3 micro-batches"));
  CHECK(lossy["lost_s"] > 0);
  CHECK(lossy["epoch"] == 2);
  const auto losses = losses_of(lossy);
  CHECK(losses.begin()->first > 30);
  CHECK(losses.rbegin()->first == steps);
  const double gap = largest_gap(losses, losses_of(calm));
  WARN("after resuming at step " << losses.begin()->first << " losses differ by " << gap);
  CHECK(gap < 1e-3);
  CHECK(within(10, [&] { return service.has_no_processes(); }));
}

TEST_CASE("a hang is a loss", "[mpi]") {
  if (!can_run()) return;
  // With a checkpoint at every step it mostly stands still while one is written.
  const int every = GENERATE(10, 1);
  const std::string more = fmt::format("--checkpoint-every {} --steps {} ", every, steps);
  const Folder folder;
  const LiveService service(folder);
  REQUIRE(service.client(submit("hung", more + "--fix dp=4")).status == 0);
  REQUIRE(waits_for_checkpoint(service, "hung", 20));
  kill(service.workers().at(1), SIGSTOP);
  const double seen = seconds_until_lost(service, "hung", 1);
  WARN("a stopped worker was seen after " << seen << " s");
  CHECK(seen <= 6);  // two seconds of silence, then who is silent is found out
  CHECK(service.reaches("hung", "done"));
  CHECK(within(10, [&] { return service.has_no_processes(); }));
}

TEST_CASE("a killed coordinator comes back on the same port, and the job goes on", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  LiveService service(folder, {"--lease=20"});
  REQUIRE(service.client(submit("kept", often + "--fix dp=2,tp=2")).status == 0);
  REQUIRE(waits_for_checkpoint(service, "kept", 20));
  const auto before = service.workers();
  service.kill_with(SIGKILL);
  service.start();
  CHECK(service.workers() == before);
  CHECK(service.reaches("kept", "done"));
  const auto job = service.job("kept");
  CHECK(job["epoch"] == 1);
  CHECK(job["losses"] == 0);
  CHECK(losses_of(job).size() == steps);
  CHECK(within(10, [&] { return service.has_no_processes(); }));
}

TEST_CASE("a leader that died without its coordinator is noticed by the next one", "[mpi]") {
  if (!can_run()) return;
  for (const bool meanwhile : {false, true}) {
    const Folder folder;
    LiveService service(folder, {"--lease=60"});
    REQUIRE(service.client(submit("left", often + "--fix dp=4")).status == 0);
    REQUIRE(waits_for_checkpoint(service, "left", 20));
    const auto leaders = processes_with(binaries + "railwright", "leader");
    REQUIRE(leaders.size() == 1);
    service.kill_with(SIGKILL);
    if (meanwhile) kill(leaders.front(), SIGKILL);
    service.start();
    if (!meanwhile) {
      CHECK(service.job("left")["epoch"] == 1);
      kill(leaders.front(), SIGKILL);
    }
    const double seen = seconds_until_lost(service, "left", 1);
    WARN("a leader of an earlier coordinator was missed after " << seen << " s");
    CHECK(seen <= 15);  // its run is torn down first; the lease has 60 s
    CHECK(service.reaches("left", "done"));
    CHECK(within(10, [&] { return service.has_no_processes(); }));
  }
}

TEST_CASE("a node that loses a worker twice is not used again", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const LiveService service(folder);
  REQUIRE(service.client(submit("unlucky", often + "--fix dp=4,micro_batch=1")).status == 0);
  for (int loss = 1; loss <= 2; ++loss) {
    REQUIRE(waits_for_checkpoint(service, "unlucky", 20 * loss));
    kill(service.workers().at(2), SIGKILL);
    seconds_until_lost(service, "unlucky", loss);
  }
  REQUIRE(service.reaches("unlucky", "done"));
  const auto nodes = nlohmann::json::parse(service.ask("GET", "/api/v1/nodes").body);
  REQUIRE(nodes["down"].size() == 1);
  CHECK(nodes["down"][0]["node"] == 2);
  CHECK_THAT(service.client("jobs --nodes").out, Contains("it lost two workers"));
  CHECK(has_event(service.job("unlucky"), "replicas"));
}

TEST_CASE("without a coordinator a job stores a checkpoint and stops within its lease", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  LiveService service(folder, {"--lease=8"});
  REQUIRE(service.client(submit("left", "--fix dp=4 --checkpoint-every 1000000 --steps 100000"))
              .status == 0);
  REQUIRE(within(120, [&] { return service.workers().size() == 4; }));
  CHECK(service.reaches("left", "running"));
  service.kill_with(SIGKILL);
  CHECK(within(9, [&] { return service.workers().empty(); }));
  const auto stored = stored_steps(service.data() + "/jobs/left/checkpoints");
  WARN("stored up to step " << stored);
  CHECK(stored > 0);
  service.start();
  CHECK(within(60, [&] { return service.job("left")["epoch"] == 2; }));
  CHECK(service.job("left")["steps_done"] == stored);
  CHECK(service.client("cancel left").status == 0);
  CHECK(service.reaches("left", "cancelled"));
}

namespace {

// What the worker writes while it runs, here with a complaint.
std::string complaint(const std::string& link) {
  return fmt::format(R"({{"steps": [{{"step_time_s": 0.01}}], "links": [], "slow_links": [
      {{"class": "shared-memory", "links": ["{}"], "ranks": [0, 1], "op": "all_reduce",
        "time_s": 10, "usual_s": 0.01}}]}})",
                     link);
}

}  // namespace

TEST_CASE("a job whose run complains of a slow link moves when that pays", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const LiveService service(folder);
  const std::string job =
      "submit --model tiny-gpt --accelerators 2 --global-batch 4 --sequence 64 --fix dp=2 ";
  REQUIRE(service.client(job + "--steps 1000000 --id slow").status == 0);
  REQUIRE(service.reaches("slow", "running"));
  CHECK(service.job("slow")["nodes"]["first"] == 0);
  write_file(service.data() + "/jobs/slow/report.1.json", complaint("node0/gpu0->switch"));
  CHECK(within(60, [&] { return service.job("slow")["epoch"] == 2; }));
  REQUIRE(service.reaches("slow", "running"));
  CHECK(service.job("slow")["nodes"]["first"] == 2);
  CHECK(has_event(service.job("slow"), "moves away from a slow link"));
  CHECK_THAT(service.client("show slow").out, Contains("chosen"));
  // Nothing is better elsewhere: it stays.
  write_file(service.data() + "/jobs/slow/report.2.json", complaint("node1/gpu0->switch"));
  std::this_thread::sleep_for(std::chrono::seconds(4));
  CHECK(service.job("slow")["epoch"] == 2);
  CHECK(service.client("cancel slow").status == 0);
  CHECK(service.reaches("slow", "cancelled"));
}

TEST_CASE("a job keeps away from the links of one that runs", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const std::string leaves = folder.write("leaves.yaml", R"(
schema_version: 1
name: leaves
nodes:
  - {name: node, count: 8, accelerator: cpu-core}
networks:
  - {name: fabric, shape: fat_tree, edge: ethernet-100g, nics_per_leaf: 2, oversubscription: 2}
)");
  const LiveService service(folder, {}, leaves);
  const std::string job =
      "submit --model tiny-gpt --accelerators 2 --global-batch 2 --sequence 8 --fix dp=2 "
      "--steps 1000000 ";
  CHECK(service.ask("POST", "/api/v1/nodes/0", R"({"down": true})").status == 200);
  REQUIRE(service.client(job + "--id crossing").status == 0);
  REQUIRE(service.reaches("crossing", "running"));
  CHECK(service.job("crossing")["nodes"]["first"] == 1);
  REQUIRE(service.client(job + "--id second").status == 0);
  REQUIRE(service.reaches("second", "running"));
  const auto second = service.job("second");
  CHECK(second["nodes"]["first"] == 6);
  const auto& places = second["placement"]["allocations"];
  REQUIRE(places.size() == 2);
  CHECK(places[0]["first_node"] == 3);
  CHECK(places[0]["slowdown_of_others"] > 0);
  CHECK(places[1]["slowdown_of_others"] == 0);
  CHECK(service.client("cancel crossing").status == 0);
  CHECK(service.client("cancel second").status == 0);
  CHECK(service.reaches("second", "cancelled"));
  CHECK(within(10, [&] { return service.has_no_processes(); }));
}

TEST_CASE("a job that is lost too often fails with the last reason", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const LiveService service(folder);
  REQUIRE(service.client(submit("unlucky", often + "--fix dp=2,tp=2 --retries 1")).status == 0);
  for (int losses = 1; losses <= 2; ++losses) {
    REQUIRE(within(120, [&] { return service.workers().size() == 4; }));
    REQUIRE(service.reaches("unlucky", "running"));
    kill(service.workers().front(), SIGKILL);  // before its first step, mostly
    CHECK(seconds_until_lost(service, "unlucky", losses) <= 10);
  }
  REQUIRE(service.reaches("unlucky", "failed"));
  const auto job = service.job("unlucky");
  CHECK(job["failure"] == "lost");
  CHECK(job["reason"] == "lost 2 times, the last time: the worker of rank 0 was lost");
  CHECK(service.client("wait unlucky").status == 4);
  CHECK_THAT(service.client("jobs --history").out, Contains("lost"));
}
