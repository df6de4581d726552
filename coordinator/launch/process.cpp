#include "coordinator/launch/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "coordinator/launch/process_table.hpp"

extern char** environ;

namespace railwright::coordinator {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto grace = std::chrono::seconds(10);

sigset_t followed_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

// While it lives, the followed signals wait to be fetched instead of ending us. Who ignores
// SIGCHLD, as some daemons have their children do, would never learn how a child ended.
class SignalsHeld {
 public:
  SignalsHeld() {
    const sigset_t signals = followed_signals();
    sigprocmask(SIG_BLOCK, &signals, &before_);
    child_action_ = signal(SIGCHLD, SIG_DFL);
  }
  ~SignalsHeld() {
    signal(SIGCHLD, child_action_);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_{};
  sighandler_t child_action_ = SIG_DFL;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (std::string& string : strings) list.push_back(string.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> environment_of(const ProcessCommand& command) {
  std::vector<std::string> list;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view known(*entry);
    const bool replaced =
        std::any_of(command.environment.begin(), command.environment.end(),
                    [&](const auto& added) { return known.starts_with(added.first + "="); });
    if (!replaced) list.emplace_back(known);
  }
  for (const auto& [name, value] : command.environment) list.push_back(name + "=" + value);
  return list;
}

std::optional<pid_t> spawn(const ProcessCommand& command, const sigset_t& mask, int& error) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = environment_of(command);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  if (!command.shows_output) posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &mask);
  pid_t child = -1;
  error = posix_spawn(&child, arguments.front().c_str(), &files, &attributes,
                      pointers(arguments).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error == 0 ? std::optional(child) : std::nullopt;
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// Open MPI's mpirun can hang for ever when a worker dies while it is being started.
class ChildWatch {
 public:
  ChildWatch(pid_t launcher, const ProcessCommand& command)
      : launcher_(launcher), workers_(command.workers), patience_(command.childless) {}
  bool is_stuck() {
    const auto now = Clock::now();
    if (workers_.empty() || now < next_look_) return false;
    next_look_ = now + std::min(patience_ / 4, std::chrono::milliseconds(1000));
    const bool has_some = has_live_children(launcher_, workers_);
    if (has_some) latest_ = now;
    had_some_ = had_some_ || has_some;
    return had_some_ && now - latest_ > patience_;
  }

 private:
  pid_t launcher_;
  const std::string& workers_;
  std::chrono::milliseconds patience_;
  bool had_some_ = false;
  Clock::time_point next_look_{}, latest_{};  // latest: when it had some
};

ProcessEnd follow(pid_t child, const ProcessCommand& command) {
  ChildWatch watch(child, command);
  const sigset_t signals = followed_signals();
  ProcessEnd end;
  std::optional<Clock::time_point> deadline;
  for (;;) {
    int wait_status = 0;
    if (waitpid(child, &wait_status, WNOHANG) == child) {
      end.status = status_of(wait_status);
      kill(-child, SIGKILL);  // what it may have left behind in its group
      return end;
    }
    const timespec patience{0, 200'000'000};
    const int signal = sigtimedwait(&signals, nullptr, &patience);
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) {
      end.interrupted = true;
      // Once, unless somebody insists: at a second one mpirun leaves at once, and leaves behind the
      // shared memory that it would have removed.
      if (!deadline || signal == SIGINT) kill(-child, SIGTERM);
      if (!deadline) deadline = Clock::now() + grace;
    }
    if (watch.is_stuck()) {
      end.stuck = true;
      kill(-child, SIGKILL);
    }
    if (deadline && Clock::now() > *deadline) kill(-child, SIGKILL);
  }
}

bool needs_quotes(const std::string& argument) {
  return argument.empty() || argument.find_first_of(" \t\n'\"\\$&|;<>()*?#~`") != std::string::npos;
}

std::string quoted(const std::string& argument) {
  if (!needs_quotes(argument)) return argument;
  std::string out = "'";
  for (const char c : argument) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace

Result<ProcessEnd> run_process(const ProcessCommand& command) {
  const SignalsHeld held;
  int error = 0;
  const auto child = spawn(command, held.before(), error);
  if (!child)
    return failure(
        {}, fmt::format("cannot start {}: {}", command.arguments.front(), std::strerror(error)));
  return follow(*child, command);
}

std::string to_string(const ProcessCommand& command) {
  std::string out;
  for (const auto& [name, value] : command.environment) out += name + "=" + quoted(value) + " ";
  for (const std::string& argument : command.arguments)
    out += (argument == command.arguments.front() ? "" : " ") + quoted(argument);
  return out;
}

Result<TemporaryFolder> TemporaryFolder::make() {
  std::error_code failed;
  const auto base = std::filesystem::temp_directory_path(failed);
  std::string path = (failed ? "/tmp" : base.string()) + "/railwright-XXXXXX";
  if (mkdtemp(path.data()) == nullptr)
    return failure({}, "cannot make a temporary folder: " + std::string(std::strerror(errno)),
                   "set TMPDIR to a folder that can be written");
  return TemporaryFolder(std::move(path));
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<void> write_temporary(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (file) return {};
  return failure({path}, "cannot be written: " + std::string(std::strerror(errno)),
                 "set TMPDIR to a folder with free space");
}

}  // namespace railwright::coordinator
