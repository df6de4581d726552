#include "coordinator/store/store.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>

#include "command.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using namespace railwright::coordinator::control;
using Catch::Matchers::Contains;
using test::Folder;

namespace {

Job job_of(int number) {
  Job job;
  job.spec = {"job" + std::to_string(number), "ann", R"({"model": "tiny-gpt"})", 3, 2, 100, 5};
  job.number = number;
  job.state = State::running;
  job.epoch = 2;
  job.leader = "x'; DROP TABLE jobs; --";
  job.nodes = {4, 3};
  job.first_step = 10;
  job.steps_done = 17;
  job.losses = 1;
  job.cancelling = true;
  job.failure = Failure::lost;
  job.reason = "rank 3 lost";
  job.submitted = {1};
  job.changed = {2};
  job.ended = {3};
  job.lost_since = {4};
  job.lost_milliseconds = 5;
  job.needs_nodes = 3;
  job.accused_node = 6;
  job.may_accuse = false;
  return job;
}

// Saves jobs one after the other, and writes each number into the pipe when it was saved.
[[noreturn]] void save_for_ever(const std::string& path, int pipe) {
  auto store = Store::open(path);
  for (int number = 1; store; ++number) {
    if (!store->save({1, job_of(number)})) break;
    if (write(pipe, &number, sizeof number) != sizeof number) break;
  }
  _exit(1);
}

std::string error_of(const std::string& path) {
  const auto store = Store::open(path);
  return store ? std::string() : to_string(store.error());
}

}  // namespace

TEST_CASE("what was saved is there when the store is opened again") {
  const Folder folder;
  const std::string path = folder.file("store.db");
  {
    auto store = Store::open(path);
    REQUIRE(store);
    REQUIRE(store->save({1, job_of(1)}));
    REQUIRE(store->save({2, NodeState{3, true, "tripped", {}}}));
    REQUIRE(store->save({3, NodeState{4, false, "lost a worker", {77}}}));
    REQUIRE(store->save_plan("job1", 2, "{}"));
    REQUIRE(store->save_steps({{"job1", 2, 11, 0.25}}, {{"job1", 2, "a->b", 0.5, 3}}));
  }
  const auto store = Store::open(path);
  REQUIRE(store);
  CHECK(store->jobs() == std::vector{job_of(1)});
  CHECK(store->nodes() ==
        std::vector{NodeState{3, true, "tripped", {}}, NodeState{4, false, "lost a worker", {77}}});
  CHECK(store->plan_of("job1", 2) == "{}");
  CHECK_FALSE(store->plan_of("job1", 1));
  REQUIRE(store->steps_of("job1").size() == 1);
  CHECK(store->steps_of("job1")[0].step_time_s == 0.25);
  REQUIRE(store->course_of("a->b", 9).size() == 1);
  CHECK(store->course_of("a->b", 9)[0].utilization == 0.5);
}

TEST_CASE("a store of an earlier version is brought up to date with all that it holds") {
  const Folder folder;
  const std::string path = folder.file("store.db");
  {
    auto store = Store::open(path);
    REQUIRE(store);
    REQUIRE(store->save({1, job_of(1)}));
    REQUIRE(store->save({2, NodeState{3, true, "tripped", {}}}));
  }
  sqlite3* file = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &file) == SQLITE_OK);
  CHECK(sqlite3_exec(file,
                     "ALTER TABLE jobs DROP COLUMN accused_node;"
                     "ALTER TABLE jobs DROP COLUMN may_accuse;"
                     "ALTER TABLE nodes DROP COLUMN lost_worker_ms;"
                     "PRAGMA user_version = 2",
                     nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(file);
  const auto store = Store::open(path);
  REQUIRE(store);
  Job job = job_of(1);
  job.accused_node = -1;  // was not stored
  job.may_accuse = true;
  CHECK(store->jobs() == std::vector{job});
  CHECK(store->nodes() == std::vector{NodeState{3, true, "tripped", {}}});
}

TEST_CASE("events are the changes of state, and runs keep the nodes that they were given") {
  const Folder folder;
  auto store = Store::open(folder.file("store.db"));
  REQUIRE(store);
  Job job = job_of(1);
  REQUIRE(store->save({1, job}));
  job.steps_done = 20;
  REQUIRE(store->save({2, job}));
  job.state = State::done;
  job.nodes = {};
  REQUIRE(store->save({3, job}));
  const auto events = store->events_of("job1");
  REQUIRE(events.size() == 2);
  CHECK(events[1].state == State::done);
  const auto runs = store->runs_of("job1");
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].nodes == NodeRange{4, 3});
  CHECK(runs[0].steps_done == 20);
}

TEST_CASE("a run remembers what was predicted and measured, a link what it did in each run") {
  const Folder folder;
  auto store = Store::open(folder.file("store.db"));
  REQUIRE(store);
  Job job = job_of(1);
  for (job.epoch = 1; job.epoch <= 3; ++job.epoch) {
    REQUIRE(store->save({1, job}));
    JobRun run = *store->run_of("job1", job.epoch);
    run.degrees = "tp=2,dp=4";
    run.predicted_s = 0.5;
    run.measured_s = 0.25 * job.epoch;
    run.outcome = "completed";
    REQUIRE(store->save_summary(run));
    REQUIRE(store->save_steps({}, {{"job1", job.epoch, "a->b", 0, 0, 1.0 * job.epoch, 2.0}}));
  }
  const auto runs = store->latest_runs(2);
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].epoch == 3);
  CHECK(runs[0].measured_s == 0.75);
  CHECK(runs[0].degrees == "tp=2,dp=4");
  CHECK(runs[0].started == Moment{2});
  CHECK_FALSE(store->run_of("job1", 4));
  const auto course = store->course_of("", 9);
  REQUIRE(course.size() == 3);
  CHECK(course[2].measured_s / course[2].expected_s == 1.5);
  const auto latest = store->course_of("a->b", 2);
  REQUIRE(latest.size() == 2);
  CHECK(latest[0].epoch == 2);
}

TEST_CASE("a second coordinator on the same data is refused, in this process and in another") {
  const Folder folder;
  const std::string path = folder.file("store.db");
  const auto first = Store::open(path);
  REQUIRE(first);
  CHECK_THAT(error_of(path), Contains("another coordinator holds these data"));
  const pid_t child = fork();
  if (child == 0) _exit(Store::open(path) ? 0 : 7);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("damaged, newer and unwritable stores are refused with what to do") {
  const Folder folder;
  CHECK_THAT(error_of(folder.write("text.db", std::string(5000, 'x'))), Contains("is damaged"));
  CHECK_THAT(error_of(folder.file("none/store.db")), Contains("cannot be written"));
  const std::string newer = folder.file("newer.db");
  REQUIRE(Store::open(newer));
  std::fstream file(newer, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(60);  // of the header: user_version, big endian
  file.write("\0\0\0\x63", 4);
  file.close();
  CHECK_THAT(error_of(newer), Contains("is of version 99"));
}

TEST_CASE("a full disk is an error that says so, and what was saved before stays") {
  const Folder folder;
  const std::string path = folder.file("store.db");
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto store = Store::open(path);
    bool said = false;
    if (!store || !store->save({1, job_of(1)})) _exit(8);
    const rlimit limit{1 << 18, 1 << 18};
    setrlimit(RLIMIT_FSIZE, &limit);
    for (int number = 2; number < 10'000 && !said; ++number) {
      const auto saved = store->save({1, job_of(number)});
      said = !saved && !to_string(saved.error()).empty();
    }
    _exit(said ? 0 : 9);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  const auto store = Store::open(path);
  REQUIRE(store);
  REQUIRE(!store->jobs().empty());
  CHECK(store->jobs()[0] == job_of(1));
}

TEST_CASE("kill -9 at any instant loses nothing that was saved") {
  for (int round = 0; round < 10; ++round) {
    const Folder folder;
    const std::string path = folder.file("store.db");
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    if (child == 0) save_for_ever(path, pipe_ends[1]);
    close(pipe_ends[1]);
    int acknowledged = 0;
    const int enough = 5 + 7 * round;
    while (acknowledged < enough && read(pipe_ends[0], &acknowledged, sizeof acknowledged) > 0)
      continue;
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &acknowledged, sizeof acknowledged) > 0) continue;
    waitpid(child, nullptr, 0);
    close(pipe_ends[0]);
    const auto store = Store::open(path);
    REQUIRE(store);
    const auto jobs = store->jobs();
    REQUIRE(jobs.size() >= static_cast<std::size_t>(acknowledged));
    CHECK(acknowledged >= enough);
    for (std::size_t i = 0; i < jobs.size(); ++i)
      REQUIRE(jobs[i] == job_of(static_cast<int>(i) + 1));
  }
}
