// The service with real processes and sockets.
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "coordinator/service/access.hpp"
#include "live_service.hpp"

using namespace railwright::coordinator;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string tiny =
    "submit --model tiny-gpt --accelerators 2 --global-batch 4 --sequence 64 --fix dp=2 ";

// On this machine alone, with leases that end while a test waits.
LiveService service_in(const Folder& folder) {
  return LiveService(folder, {"--lease=20"}, "localhost");
}

}  // namespace

TEST_CASE("elsewhere than on the loopback tokens and TLS are needed, unless told") {
  for (const bool tokens : {false, true})
    for (const bool tls : {false, true}) {
      CHECK_FALSE(why_not_listen({"127.0.0.1", 1}, tokens, tls, false));
      CHECK_FALSE(why_not_listen({"::1", 1}, tokens, tls, false));
      CHECK_FALSE(why_not_listen({"0.0.0.0", 1}, tokens, tls, true));
      CHECK(why_not_listen({"192.0.2.1", 1}, tokens, tls, false).has_value() == !(tokens && tls));
    }
  CHECK(run_command("coordinator --cluster localhost --data /nowhere --listen 0.0.0.0:0").status ==
        2);
}

TEST_CASE("tokens are read from a file that is nobody else's, and give roles") {
  const Folder folder;
  const std::string path = folder.write(
      "tokens", "# who may do what\nread ann 0123456789abcdef\nadmin bob fedcba9876543210\n");
  chmod(path.c_str(), 0644);
  CHECK_FALSE(load_tokens(path));
  chmod(path.c_str(), 0600);
  const auto tokens = load_tokens(path);
  REQUIRE(tokens);
  CHECK(caller_of(*tokens, "Bearer 0123456789abcdef").role == Role::read);
  CHECK(caller_of(*tokens, "Bearer fedcba9876543210").owner == "bob");
  CHECK(caller_of(*tokens, "Bearer fedcba987654321").role == Role::none);
  CHECK(caller_of(*tokens, "").role == Role::none);
}

TEST_CASE("an emulated job is planned, run and remembered") {
  const Folder folder;
  const LiveService service = service_in(folder);
  const std::string submit = tiny + "--steps 3 --emulated --id first";
  CHECK(service.client(submit).out == "first\n");
  CHECK(service.client(submit).out == "first\n");  // the same job
  CHECK(service.client(tiny + "--steps 4 --emulated --id first").status == 2);
  const Outcome waited = service.client("wait first --timeout 120");
  CHECK(waited.status == 0);
  CHECK_THAT(waited.out, Contains("done") && Contains("3/3"));
  const auto job = service.job("first");
  CHECK(job["epoch"] == 1);
  CHECK(job["result"]["step_time_s"] > 0);
  CHECK(job["runs"][0]["steps_done"] == 3);
  CHECK_THAT(service.client("jobs").out, Contains("first"));
  CHECK_THAT(service.ask("GET", "/metrics").body, Contains("railwright_job_steps_total 3\n"));
}

// Options that came later have defaults: a client that repeats itself after an upgrade asks for the
// job that is there.
TEST_CASE("the repeat of a job that an earlier version stored is the same job") {
  const Folder folder;
  LiveService service = service_in(folder);
  const std::string submit = tiny + "--steps 3 --emulated --id first";
  REQUIRE(service.client(submit).status == 0);
  REQUIRE(service.client("wait first --timeout 120").status == 0);
  service.kill_with(SIGTERM);
  sqlite3* file = nullptr;
  REQUIRE(sqlite3_open((service.data() + "/coordinator.db").c_str(), &file) == SQLITE_OK);
  CHECK(sqlite3_exec(file,
                     "UPDATE jobs SET request = json_remove(request, '$.precision', '$.seed')",
                     nullptr, nullptr, nullptr) == SQLITE_OK);
  CHECK(sqlite3_changes(file) == 1);
  sqlite3_close(file);
  service.start();
  CHECK_FALSE(service.job("first")["request"].contains("seed"));
  const Outcome repeated = service.client(submit);
  CHECK(repeated.out == "first\n");
  CHECK(service.job("first")["epoch"] == 1);
  CHECK(service.client(submit + " --seed 2").status == 2);
}

TEST_CASE("what cannot be done is refused, and the service goes on") {
  const Folder folder;
  const LiveService service = service_in(folder);
  CHECK(service.client("show nobody").status == 2);
  CHECK(service.client(tiny + "--id ../x").status == 2);
  CHECK(service.client(tiny + "--steps 0").status == 2);
  const std::string garbage = folder.write("garbage", std::string("\xff\xfe\x00{", 4));
  const std::string sizes = "--accelerators 2 --global-batch 4 --sequence 64 --fix dp=2 --id ";
  for (const std::string& model : {garbage, std::string("/tmp")}) {
    const Outcome refused = service.client("submit --model " + model + " " + sizes + "odd");
    INFO(refused.err);
    CHECK(refused.err.find("json.exception") == std::string::npos);
    CHECK(refused.err.find("filebuf") == std::string::npos);
  }
  CHECK(service.ask("POST", "/api/v1/jobs", "{").status == 422);
  CHECK(service.ask("POST", "/api/v1/jobs", R"({"id": "a", "colour": "red"})").status == 422);
  CHECK(service.ask("POST", "/api/v1/jobs", std::string(5 << 20, ' ')).status == 413);
  CHECK(service.ask("GET", "/nothing").status == 404);
  CHECK(service.ask("GET", "/healthz").body == "ok\n");
  // Too few accelerators for a model that does not fit: status 3, as of plan.
  CHECK(service
            .client("submit --model gpt3-175b --accelerators 1 --global-batch 1 "
                    "--sequence 2048 --id large")
            .status == 0);
  CHECK(service.client("wait large --timeout 120").status == 3);
}

TEST_CASE("clients tell what they were given wrongly from a coordinator that does not answer") {
  for (const std::string command : {"jobs", "show a", "logs a", "cancel a", "wait a"}) {
    INFO(command);
    const Outcome address = run_command(command + " --coordinator nonsense");
    CHECK(address.status == 2);
    CHECK_THAT(address.err, Contains("write HOST:PORT"));
    const Outcome authority = run_command(command + " --ca /nowhere.pem");
    CHECK(authority.status == 2);
    CHECK_THAT(authority.err, Contains("/nowhere.pem: error:"));
  }
  CHECK(run_command(tiny + "--coordinator nonsense").status == 2);
  CHECK(run_command("wait a --timeout -1").status == 2);
  const Outcome silent = run_command("jobs --coordinator 127.0.0.1:1");
  CHECK(silent.status == 4);
  CHECK_THAT(silent.err, Contains("railwright coordinator"));
}

TEST_CASE("a second coordinator on the same data is refused by name") {
  const Folder folder;
  const LiveService service = service_in(folder);
  const Outcome second =
      run_command("coordinator --cluster localhost --listen 127.0.0.1:0 --data " + service.data());
  CHECK(second.status == 2);
  CHECK_THAT(second.err, Contains("another coordinator holds these data"));
}

TEST_CASE("a killed worker is noticed, the job is run again, and nothing stays behind", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const LiveService service = service_in(folder);
  REQUIRE(service.client(tiny + "--steps 20000 --id real").status == 0);
  const std::string plan = service.data() + "/jobs/real/plan.1.json";
  const auto workers = [&] { return processes_with(binaries + "railwright-worker", plan); };
  REQUIRE(within(120, [&] { return workers().size() == 2; }));
  const auto killed = std::chrono::steady_clock::now();
  kill(workers()[0], SIGKILL);
  CHECK(within(60, [&] { return service.job("real")["losses"] == 1; }));
  const std::chrono::duration<double> noticed = std::chrono::steady_clock::now() - killed;
  WARN("noticed after " << noticed.count() << " s");
  CHECK(workers().empty());
  CHECK(within(120, [&] { return service.job("real")["epoch"] == 2; }));
  CHECK(service.client("cancel real").status == 0);
  CHECK(service.reaches("real", "cancelled"));
  CHECK(within(30, [&] { return service.workers().empty(); }));
}

TEST_CASE("a killed coordinator comes back and adopts what runs", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  LiveService service = service_in(folder);
  REQUIRE(service.client(tiny + "--steps 20000 --id real").status == 0);
  const auto workers = [&] { return service.workers(); };
  REQUIRE(within(120, [&] { return workers().size() == 2; }));
  const auto before = workers();
  service.kill_with(SIGKILL);
  service.start_elsewhere();
  std::this_thread::sleep_for(std::chrono::seconds(25));  // longer than a lease
  CHECK(service.job("real")["state"] == "running");
  CHECK(service.job("real")["epoch"] == 1);
  CHECK(workers() == before);
  CHECK(service.client("cancel real").status == 0);
  CHECK(service.reaches("real", "cancelled"));
  CHECK(within(30, [&] { return workers().empty(); }));
}

TEST_CASE("without a coordinator leaders stop what they run when their lease ends", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  LiveService service = service_in(folder);
  REQUIRE(service.client(tiny + "--steps 200000 --id real").status == 0);
  const auto workers = [&] { return service.workers(); };
  REQUIRE(within(120, [&] { return workers().size() == 2; }));
  service.kill_with(SIGKILL);
  CHECK(within(60, [&] { return workers().empty(); }));
}
