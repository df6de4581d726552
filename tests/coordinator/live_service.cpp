#include "live_service.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "coordinator/launch/programs.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/files.hpp"

namespace railwright::test {

using namespace coordinator;

namespace {

constexpr const char* four_nodes = R"(
schema_version: 1
name: four
nodes:
  - {name: node, count: 4, accelerator: cpu-core}
networks:
  - {name: memory, shape: switch, link: shared-memory}
)";

}  // namespace

std::vector<pid_t> processes_with(const std::string& program, const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto line = read_file((entry.path() / "cmdline").string());
    if (line && line->find(text) != std::string::npos && line->starts_with(program))
      found.push_back(static_cast<pid_t>(std::stol(entry.path().filename())));
  }
  return found;
}

bool can_run() {
  if (find_program("mpirun") && read_file(binaries + "railwright-worker")) return true;
  WARN("mpirun or railwright-worker is missing: nothing is run for real");
  return false;
}

LiveService::LiveService(const Folder& folder, std::vector<std::string> more, std::string cluster)
    : data_(folder.file("data")),
      cluster_(cluster.empty() ? folder.write("four.yaml", four_nodes) : std::move(cluster)),
      more_(std::move(more)) {
  start();
}

LiveService::~LiveService() { kill_with(SIGTERM); }

void LiveService::start() {
  unlink((data_ + "/address").c_str());
  Child child;
  child.arguments = {binaries + "railwright", "coordinator", "--cluster=" + cluster_,
                     "--data=" + data_, "--listen=" + address_};
  child.arguments.insert(child.arguments.end(), more_.begin(), more_.end());
  child.error_path = data_ + ".log";
  const auto pid = start_child(child);
  REQUIRE(pid);
  pid_ = *pid;
  REQUIRE(within(60, [&] { return read_file(data_ + "/address").has_value(); }));
  address_ = *read_file(data_ + "/address");
}

void LiveService::start_elsewhere() {
  address_ = "127.0.0.1:0";
  start();
}

int LiveService::kill_with(int signal) {
  int status = 0;
  if (pid_ > 0) {
    kill(pid_, signal);
    waitpid(pid_, &status, 0);
  }
  pid_ = -1;
  return status;
}

HttpAnswer LiveService::ask(const std::string& method, const std::string& target,
                            const std::string& body) const {
  const auto answer = ask_coordinator({address_, {}, {}}, method, target, body);
  REQUIRE(answer);
  return *answer;
}

nlohmann::json LiveService::job(const std::string& id) const {
  return nlohmann::json::parse(ask("GET", "/api/v1/jobs/" + id).body);
}

bool LiveService::reaches(const std::string& id, const std::string& state, int seconds) const {
  return within(seconds, [&] { return job(id)["state"] == state; });
}

Outcome LiveService::client(const std::string& arguments) const {
  const auto space = arguments.find(' ');
  const std::string command = arguments.substr(0, space);
  return run_command(command + " --coordinator " + address_ +
                     (space == std::string::npos ? "" : arguments.substr(space)));
}

std::vector<pid_t> LiveService::workers(const std::string& text) const {
  return processes_with(binaries + "railwright-worker", data_ + text);
}

bool LiveService::has_no_processes() const {
  for (const pid_t pid : processes_with("", data_))
    if (pid != pid_) return false;
  return true;
}

std::string LiveService::said() const { return read_file(data_ + ".log").value_or(""); }

}  // namespace railwright::test
