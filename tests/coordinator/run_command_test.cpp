#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "command.hpp"
#include "coordinator/launch/programs.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

// Two ranks of the smallest model on this machine.
std::string small_plan(const Folder& folder) {
  const std::string path = folder.file("plan.json");
  REQUIRE(run_command("plan --model tiny-gpt --cluster localhost --accelerators 2 "
                      "--global-batch 4 --sequence 64 --fix dp=2 -o " +
                      path)
              .status == 0);
  return path;
}

// Somebody else listens on this port.
class TakenPort {
 public:
  TakenPort() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket_, generic, size) == 0);
    REQUIRE(::listen(socket_, 1) == 0);
    REQUIRE(::getsockname(socket_, generic, &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~TakenPort() { ::close(socket_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;
  int port() const { return port_; }

 private:
  int socket_;
  int port_ = 0;
};

bool can_run() {
  const std::string worker = std::string(RAILWRIGHT_BINARY_DIR) + "/bin/railwright-worker";
  if (railwright::coordinator::find_program("mpirun") && std::ifstream(worker).good()) return true;
  WARN("mpirun or railwright-worker is missing: nothing is run for real");
  return false;
}

}  // namespace

TEST_CASE("a dry run prints the command that would start the workers, and starts nothing") {
  if (!can_run()) return;
  const Folder folder;
  const std::string plan = small_plan(folder);
  for (const std::string backend : {"auto", "p2p", "shm", "hierarchical", "mpi", "nccl"}) {
    const Outcome run = run_command("run --dry-run --plan " + plan + " --backend " + backend);
    INFO(run.err);
    CHECK(run.status == 0);
    CHECK_THAT(run.out, Contains("mpirun -n 2") && Contains("railwright-worker run --plan") &&
                            Contains("--backend " + backend));
  }
}

TEST_CASE("named hosts get a rankfile") {
  if (!can_run()) return;
  const Folder folder;
  const std::string cluster = folder.write("cluster.yaml",
                                           "schema_version: 1\n"
                                           "name: two\n"
                                           "nodes:\n"
                                           "  - name: node\n"
                                           "    count: 2\n"
                                           "    host: far-[1-2]\n"
                                           "    accelerator: cpu-core\n"
                                           "    accelerators: 1\n"
                                           "networks:\n"
                                           "  - {name: lan, shape: switch, link: ethernet-100g}\n");
  const std::string plan = folder.file("plan.json");
  const Outcome planned =
      run_command("plan --model tiny-gpt --cluster " + cluster +
                  " --accelerators 2 --global-batch 4 --sequence 64 --fix dp=2 -o " + plan);
  INFO(planned.err);
  REQUIRE(planned.status == 0);
  const Outcome run = run_command("run --dry-run --launcher mpirun --plan " + plan);
  INFO(run.err);
  CHECK(run.status == 0);
  CHECK_THAT(run.out, Contains("--host far-1:1,far-2:1") && Contains("rank 0=far-1 slot=0") &&
                          Contains("rank 1=far-2 slot=0"));
}

TEST_CASE("a real run reports the keys of the contract and leaves nothing behind", "[mpi]") {
  if (!can_run()) return;
  const Folder folder, temporary;
  const std::string plan = small_plan(folder);
  setenv("TMPDIR", temporary.file("").c_str(), 1);
  const Outcome run = run_command("run --steps 2 --json --plan " + plan);
  unsetenv("TMPDIR");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto document = run.json();
  for (const char* key : {"steps", "measured", "predicted", "ratio", "slow_links", "slow_ranks"})
    CHECK(document.contains(key));
  CHECK(document["steps"].size() == 2);
  CHECK(document["judged"].is_boolean());
  CHECK(document["verification"]["checked"] > 0);
  CHECK(document["verification"]["wrong"] == 0);
  CHECK(temporary.empty());
}

TEST_CASE("a run on virtual time takes what was predicted by emulation", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const Outcome run =
      run_command("run --backend emulated --steps 3 --json --plan " + small_plan(folder));
  INFO(run.err);
  REQUIRE(run.status == 0);
  CHECK(run.json()["ratio"]["step_time_s"].get<double>() == Approx(1).margin(0.03));
}

TEST_CASE("a rank count that is not the plan's is refused with status 2") {
  const Folder folder;
  const std::string plan = small_plan(folder);
  const Outcome run = run_command("run --ranks 3 --plan " + plan);
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("plan.json") && Contains("2 ranks") && Contains("--ranks 2"));
}

TEST_CASE("a plan that is missing, no JSON or changed by hand is refused with status 2") {
  const Folder folder;
  CHECK(run_command("run --plan " + folder.file("none.json")).status == 2);
  const Outcome broken = run_command("run --plan " + folder.write("broken.json", "{\n  \"a\": ,}"));
  CHECK(broken.status == 2);
  CHECK_THAT(broken.err, Contains("broken.json:2"));
  std::string text = read_text(small_plan(folder));
  const auto at = text.find("tiny-gpt");
  REQUIRE(at != std::string::npos);
  text.replace(at, 8, "tiny-GPT");
  const Outcome changed = run_command("run --plan " + folder.write("changed.json", text));
  CHECK(changed.status == 2);
  CHECK_THAT(changed.err, Contains("changed.json") && Contains("sha256"));
}

TEST_CASE("a port that is taken is reported with status 2", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const TakenPort taken;
  const std::string address = "127.0.0.1:" + std::to_string(taken.port());
  const Outcome run =
      run_command("run --steps 1 --metrics " + address + " --plan " + small_plan(folder));
  INFO(run.err);
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains(address));
}

TEST_CASE("SIGINT ends the workers of a run, and nothing is left behind", "[mpi]") {
  if (!can_run()) return;
  const Folder folder, temporary;
  const std::string plan = small_plan(folder);
  // Interrupts the `railwright run` of this very plan, once its workers are there.
  const std::string script = folder.write(
      "interrupt.sh", "while [ ! -e " + folder.file("done") +
                          " ]; do\n"
                          "  for worker in $(pgrep -x railwright-work); do\n"
                          "    grep -q '" +
                          plan +
                          "' /proc/$worker/cmdline || continue\n"
                          "    for run in $(pgrep -x railwright); do\n"
                          "      grep -q '" +
                          plan +
                          "' /proc/$run/cmdline && sleep 1 && kill -INT $run && exit 0\n"
                          "    done\n"
                          "  done\n"
                          "  sleep 0.1\n"
                          "done\n");
  REQUIRE(std::system(("sh " + script + " 2>/dev/null &").c_str()) == 0);
  setenv("TMPDIR", temporary.file("").c_str(), 1);
  const Outcome run = run_command("run --steps 1000000 --plan " + plan);
  unsetenv("TMPDIR");
  folder.write("done", "");
  INFO(run.err);
  CHECK(run.status == 1);
  CHECK_THAT(run.err, Contains("interrupted"));
  CHECK(temporary.empty());
  const std::string left = "for p in $(pgrep -x railwright-work); do grep -q '" + plan +
                           "' /proc/$p/cmdline && exit 1; done; exit 0";
  CHECK(std::system(left.c_str()) == 0);
}

TEST_CASE("without mpirun in PATH the message names the package") {
  const Folder folder;
  const std::string plan = small_plan(folder);
  const std::string path = getenv("PATH");
  setenv("PATH", folder.file("").c_str(), 1);
  const Outcome run = run_command("run --launcher mpirun --plan " + plan);
  setenv("PATH", path.c_str(), 1);
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("openmpi-bin"));
}

TEST_CASE("a killed worker ends the run with status 4", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const std::string plan = small_plan(folder);
  // Kills the first worker of this very plan, once it is there.
  const std::string killer =
      folder.write("killer.sh", "while [ ! -e " + folder.file("done") +
                                    " ]; do\n"
                                    "  for process in $(pgrep -x railwright-work); do\n"
                                    "    grep -q '" +
                                    plan +
                                    "' /proc/$process/cmdline && sleep 1 && kill -9 $process && "
                                    "exit 0\n"
                                    "  done\n"
                                    "  sleep 0.1\n"
                                    "done\n");
  REQUIRE(std::system(("sh " + killer + " 2>/dev/null &").c_str()) == 0);
  const Outcome run = run_command("run --steps 1000000 --plan " + plan);
  folder.write("done", "");
  INFO(run.err);
  CHECK(run.status == 4);
  CHECK_THAT(run.err, Contains("lost"));
}

TEST_CASE("metrics that cannot be written are refused before any worker starts", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const Outcome run = run_command(
      "run --steps 1 --metrics-textfile /no/such/folder/m.prom --plan " + small_plan(folder));
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err,
             Contains("/no/such/folder: No such file or directory") && !Contains("mpirun"));
}

TEST_CASE("a run on virtual time makes the calls of a real one", "[mpi]") {
  if (!can_run()) return;
  const Folder folder;
  const std::string run = "run --steps 3 --json --plan " + small_plan(folder) + " --backend ";
  const auto real = run_command(run + "p2p").json()["measured"]["collectives"];
  const auto emulated = run_command(run + "emulated").json()["measured"]["collectives"];
  REQUIRE_FALSE(real.empty());
  REQUIRE(real.size() == emulated.size());
  for (std::size_t i = 0; i < real.size(); ++i)
    for (const char* key : {"group", "op", "algorithm", "bytes", "ranks", "calls"}) {
      INFO(real[i] << "\n" << emulated[i]);
      CHECK(real[i][key] == emulated[i][key]);
    }
}
