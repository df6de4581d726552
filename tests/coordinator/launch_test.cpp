#include "coordinator/launch/launch.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

using namespace railwright;
using namespace railwright::coordinator;

namespace {

LaunchSettings settings(Launcher launcher, unsigned cores) {
  LaunchSettings result;
  result.launcher = launcher;
  result.launcher_path = launcher == Launcher::mpirun ? "/usr/bin/mpirun" : "/usr/bin/srun";
  result.worker_path = "/opt/railwright-worker";
  result.worker_arguments = {"--plan", "my plan.json"};
  result.placement_path = "/tmp/placement";
  result.cores = cores;
  return result;
}

bool contains(const Launch& launch, const std::string& argument) {
  const auto& list = launch.command.arguments;
  return std::find(list.begin(), list.end(), argument) != list.end();
}

}  // namespace

TEST_CASE("a rankfile gives every rank its host and the next slot there") {
  CHECK(rankfile({"a", "a", "b", "a"}) ==
        "rank 0=a slot=0\nrank 1=a slot=1\nrank 2=b slot=0\nrank 3=a slot=2\n");
}

TEST_CASE("who was lost first is what workers, mpirun and srun say") {
  CHECK(lost_rank("") == -1);
  CHECK(lost_rank("the worker of rank 3 was lost\nfrank 3 on node0 lost: no\n") == -1);
  CHECK(lost_rank("rank 3 on node0 lost: no answer for 2 s\n") == 3);
  CHECK(lost_rank("step 7\nmpirun noticed that process rank 12 with PID 0 on node node1 exited on "
                  "signal 9 (Killed).\nrank 3 on node0 lost: its connection failed\n") == 12);
  CHECK(lost_rank("srun: error: node1: task 5: Killed\n") == 5);
  CHECK(lost_rank("srun: error: node1: task 5: Exited with exit code 4\n") == -1);
  // Peers see connections of processes fail that are only being taken down.
  CHECK(lost_rank("rank 1 on node0 lost: its connection failed\nmpirun noticed that process rank 3 "
                  "with PID 9 on node node1 exited on signal 9 (Killed).\n") == 3);
  CHECK(lost_rank("rank 1 on node0 lost: its connection failed\n"
                  "rank 2 on node0 lost: no answer for 2 s\n") == 2);
  CHECK(lost_rank("rank 1 on node0 lost: its connection failed\n") == 1);
  CHECK(lost_rank("rank 99999999999 on node0 lost: no answer\n") == -1);
}

TEST_CASE("mpirun on named hosts gets the hosts, their slots and the rankfile") {
  const Launch launch = make_launch(3, {"a", "a", "b"}, settings(Launcher::mpirun, 2));
  CHECK(contains(launch, "a:2,b:1"));
  CHECK(contains(launch, "--rankfile"));
  CHECK_FALSE(contains(launch, "--oversubscribe"));
  CHECK(launch.placement == rankfile({"a", "a", "b"}));
}

TEST_CASE("ranks beyond the cores of this machine are oversubscribed and not bound") {
  CHECK(contains(make_launch(4, {}, settings(Launcher::mpirun, 2)), "--oversubscribe"));
  CHECK_FALSE(contains(make_launch(2, {}, settings(Launcher::mpirun, 2)), "--oversubscribe"));
}

TEST_CASE("srun gets one host per rank through SLURM_HOSTFILE") {
  const Launch launch = make_launch(3, {"a", "b", "a"}, settings(Launcher::srun, 2));
  CHECK(launch.placement == "a\nb\na\n");
  CHECK(launch.command.environment ==
        std::vector<std::pair<std::string, std::string>>{{"SLURM_HOSTFILE", "/tmp/placement"}});
  CHECK(contains(launch, "--distribution=arbitrary"));
}

TEST_CASE("a command is printed as a shell would read it") {
  ProcessCommand command{{"/bin/echo", "two words", "it's", "plain"}, {{"A", "b c"}}, false};
  CHECK(to_string(command) == "A='b c' /bin/echo 'two words' 'it'\\''s' plain");
}

TEST_CASE("a process reports its exit status, and the signal that ended it") {
  CHECK(run_process({{"/bin/sh", "-c", "exit 7"}, {}})->status == 7);
  CHECK(run_process({{"/bin/sh", "-c", "kill -KILL $$"}, {}})->status == 128 + SIGKILL);
  CHECK(run_process({{"/bin/sh", "-c", "test \"$X\" = 'a b'"}, {{"X", "a b"}}})->status == 0);
  CHECK_FALSE(run_process({{"/nonexistent/program"}, {}}).has_value());
}

TEST_CASE("a process reports its exit status also to who was started with SIGCHLD ignored") {
  const auto before = signal(SIGCHLD, SIG_IGN);
  const auto end = run_process({{"/bin/sh", "-c", "exit 7"}, {}});
  CHECK(signal(SIGCHLD, before) == SIG_IGN);
  REQUIRE(end.has_value());
  CHECK(end->status == 7);
}

TEST_CASE("a lost terminal ends the program instead of leaving it behind") {
  const auto end = run_process(
      {{"/bin/sh", "-c", "(sleep 0.5; kill -HUP $PPID 2>/dev/null) & sleep 60 & wait"}, {}});
  REQUIRE(end.has_value());
  CHECK(end->interrupted);
}

TEST_CASE(
    "a launcher that hangs without children is ended, one that has them or never had is not") {
  const auto run = [](const std::string& script) {
    return *run_process(
        {{"/bin/sh", "-c", script}, {}, false, "sleep", std::chrono::milliseconds(500)});
  };
  const auto stuck = run("sleep 0.3 & wait; exec tail -f /dev/null");
  CHECK(stuck.stuck);
  CHECK(stuck.status == 128 + SIGKILL);
  const auto busy = run("sleep 1.5; exit 3");  // a child, all the while
  CHECK_FALSE(busy.stuck);
  CHECK(busy.status == 3);
  const auto elsewhere = run("true & wait; exec timeout 1.5 tail -f /dev/null");
  CHECK_FALSE(elsewhere.stuck);  // its children were none of the workers
  const auto alone = run("exec sleep 1.5");
  CHECK_FALSE(alone.stuck);
  CHECK(alone.status == 0);
}

TEST_CASE("an interrupt ends the whole process group and is reported") {
  // The child waits in a grandchild; we get SIGTERM half a second into it.
  const auto end = run_process(
      {{"/bin/sh", "-c", "(sleep 0.5; kill -TERM $PPID 2>/dev/null) & sleep 60 & wait"}, {}});
  REQUIRE(end.has_value());
  CHECK(end->interrupted);
  CHECK(end->status != 0);
}

TEST_CASE("who is told to end twice tells the program once") {
  const auto told = [](const std::string& signal) {
    return run_process({{"/bin/sh", "-c",
                         "n=0; trap 'n=$((n+1))' TERM; kill -" + signal +
                             " $PPID; sleep 1; kill -" + signal + " $PPID; sleep 1; exit $n"},
                        {}})
        ->status;
  };
  CHECK(told("TERM") == 1);
  CHECK(told("INT") == 2);  // at the keyboard a second one is meant
}

TEST_CASE("a temporary folder is gone with its files when its owner is") {
  std::string path;
  {
    const auto folder = TemporaryFolder::make();
    REQUIRE(folder.has_value());
    path = folder->file("");
    CHECK(std::filesystem::exists(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a placement that cannot be written whole is an error with its path") {
  const auto folder = TemporaryFolder::make();
  REQUIRE(folder.has_value());
  CHECK(write_temporary(folder->file("placement"), "rank 0=a slot=0\n").has_value());
  CHECK_FALSE(write_temporary(folder->file("no/placement"), "x").has_value());
  const auto full = write_temporary("/dev/full", "x");
  REQUIRE_FALSE(full.has_value());
  CHECK(to_string(full.error()).find("/dev/full: error: cannot be written: No space left") == 0);
}
