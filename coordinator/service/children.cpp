#include "coordinator/service/children.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "coordinator/launch/process_table.hpp"
#include "coordinator/launch/programs.hpp"

extern char** environ;

namespace railwright::coordinator {

namespace {

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (std::string& string : strings) list.push_back(string.data());
  list.push_back(nullptr);
  return list;
}

// Ours without tokens, which are nobody else's business.
std::vector<std::string> environment_of(const Child& child) {
  std::vector<std::string> list;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("RAILWRIGHT_TOKEN=")) list.emplace_back(*entry);
  for (const auto& [name, value] : child.environment) list.push_back(name + "=" + value);
  return list;
}

// Default actions and no blocked signals, whatever ours are.
void reset_signals(posix_spawnattr_t& attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

}  // namespace

Result<pid_t> start_child(const Child& child) {
  std::vector<std::string> arguments = child.arguments;
  std::vector<std::string> environment = environment_of(child);
  const auto path = [](const std::string& name) {
    return name.empty() ? "/dev/null" : name.c_str();
  };
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, path(child.output_path),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, path(child.error_path),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  // Or the listening socket would live on in what we started, and take connections for nobody.
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  if (!child.folder.empty()) posix_spawn_file_actions_addchdir_np(&files, child.folder.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  reset_signals(attributes);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, arguments.front().c_str(), &files, &attributes,
                                pointers(arguments).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == 0) return pid;
  return failure({}, "cannot start " + arguments.front() + ": " + std::strerror(error));
}

std::string boot_name() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string name;
  std::getline(file, name);
  return name;
}

Identity own_identity() { return {getpid(), stat_of("/proc/self").started, boot_name()}; }

bool lives(const Identity& process) {
  const ProcessStat stat = stat_of(std::filesystem::path("/proc") / std::to_string(process.pid));
  return stat.lives() && stat.started == process.started && process.boot == boot_name();
}

std::vector<pid_t> members_of_session(pid_t session) {
  std::vector<pid_t> members;
  for_processes([&](pid_t pid, const ProcessStat& stat) {
    if (stat.session == session && stat.lives()) members.push_back(pid);
  });
  return members;
}

void signal_session(pid_t session, int signal) {
  for (const pid_t member : members_of_session(session)) kill(member, signal);
}

std::vector<std::string> tethered(std::vector<std::string> command, const char* signal) {
  const auto setpriv = find_program("setpriv");
  if (setpriv) command.insert(command.begin(), {*setpriv, "--pdeathsig", signal, "--"});
  return command;
}

// An upgrade puts another file in the place of a program that runs: the next one is that.
std::string own_program() {
  constexpr std::string_view replaced = " (deleted)";
  std::error_code failed;
  std::string program = std::filesystem::read_symlink("/proc/self/exe", failed).string();
  if (program.ends_with(replaced)) program.resize(program.size() - replaced.size());
  return program;
}

}  // namespace railwright::coordinator
