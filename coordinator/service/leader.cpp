#include "coordinator/service/leader.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "coordinator/console.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/launch/process.hpp"
#include "coordinator/service/checkpoints.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/coordinator_link.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/files.hpp"
#include "coordinator/service/unsignalled.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

using Clock = std::chrono::steady_clock;

std::int64_t milliseconds_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
      .count();
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

class Leader {
 public:
  explicit Leader(const LeaderSettings& settings) : settings_(settings) {}

  int run() {
    // Before anything is granted, so that whoever adopts us sees whether we live.
    write_identity(file("leader", "json"), settings_.name, own_identity());
    CoordinatorLink link(link_settings());
    // Without a first grant nothing begins; who is not granted in a lease's time gives up.
    const std::int64_t until = milliseconds_now() + settings_.lease_ms;
    const auto waits = [&] { return lease_until_ == 0 && !over_ && stop_at_ == 0; };
    while (waits() && milliseconds_now() < until) pause();
    if (lease_until_ == 0) return exit_failed;
    std::thread guard = unsignalled([this] { watch_the_lease(); });
    const Ended end = execute();
    done_ = true;
    guard.join();
    signal_others();
    return report_end(end, link);
  }

 private:
  // DATA/jobs/ID/WHAT.EPOCH[.ENDING]
  std::string file(const char* what, const char* ending = nullptr) const {
    const std::string path =
        fmt::format("{}/jobs/{}/{}.{}", settings_.data, settings_.job, what, settings_.epoch);
    return ending == nullptr ? path : fmt::format("{}.{}", path, ending);
  }

  LinkSettings link_settings() {
    LinkSettings settings;
    settings.data = settings_.data;
    settings.hello = {settings_.job, settings_.epoch, settings_.name, settings_.token};
    settings.asked_at = milliseconds_now;
    settings.steps_done = [this] { return steps_done(); };
    settings.answered = [this](std::int64_t asked_at, wire::Verdict verdict) {
      if (verdict == wire::Verdict::granted) lease_until_ = asked_at + settings_.lease_ms;
      if (verdict == wire::Verdict::stop) stop();
      if (verdict == wire::Verdict::dismissed) over_ = true;
    };
    settings.commanded = [this](wire::Verb) { stop(); };
    return settings;
  }

  // From the job's first step, as they are stored.
  std::int64_t steps_done() const {
    return std::max(settings_.first_step, stored_steps(settings_.checkpoints));
  }

  // What trains is first asked to store a checkpoint: within this time it should be done.
  std::int64_t parting_ms() const {
    return settings_.checkpoints.empty() ? 0
                                         : std::min<std::int64_t>(10'000, settings_.lease_ms / 4);
  }
  void stop() {
    if (stop_at_ == 0) stop_at_ = milliseconds_now() + parting_ms();
  }
  std::string stop_file() const { return file("stop"); }
  void part() {
    const std::int64_t until =
        stop_at_ != 0 ? std::min(stop_at_.load(), lease_until_.load()) : lease_until_.load();
    if (milliseconds_now() >= until) over_ = true;
    if (parting_ms() == 0 || milliseconds_now() < until - parting_ms()) return;
    if (!parting_.exchange(true)) write_file(stop_file(), "");
  }

  void watch_the_lease() {
    bool told = false;
    for (; !done_; pause()) {
      part();
      if (over_ && !std::exchange(told, true)) kill(getpid(), SIGTERM);
    }
  }

  Ended execute() {
    const std::int64_t left = settings_.first_step + settings_.steps - steps_done();
    if (left <= 0) return ended(Outcome::completed, Failure::none, {});
    ProcessCommand command;
    command.arguments = {own_program(), settings_.emulated ? "emulate" : "run",
                         "--plan=" + file("plan", "json"), fmt::format("--steps={}", left),
                         "--json"};
    command.arguments.insert(command.arguments.end(), settings_.run.begin(), settings_.run.end());
    if (!settings_.checkpoints.empty()) {
      command.arguments.push_back("--stop-file=" + stop_file());
      // Where nothing can be read any more the run says so, and does not begin anew.
      if (settings_.first_step > 0 || stored_steps(settings_.checkpoints) > 0)
        command.arguments.push_back("--resume");
    }
    command.arguments = tethered(std::move(command.arguments), "TERM");
    command.shows_output = true;
    const std::uintmax_t said_before = log_size();
    const auto end = run_process(command);
    if (!end) {
      std::cerr << to_string(end.error()) << "\n";
      return ended(Outcome::failed, Failure::run, "it could not be started");
    }
    return outcome_of(*end, lost_rank(said_since(said_before)));
  }

  // What all processes of the job say.
  std::string log_path() const {
    return fmt::format("{}/jobs/{}/log", settings_.data, settings_.job);
  }
  std::uintmax_t log_size() const {
    std::error_code failed;
    const std::uintmax_t size = std::filesystem::file_size(log_path(), failed);
    return failed ? 0 : size;
  }
  // The last of it.
  std::string said_since(std::uintmax_t begin) const {
    constexpr std::uintmax_t most = 1 << 20;
    const std::uintmax_t end = log_size();
    begin = std::max(begin, end - std::min(end, most));
    std::ifstream file(log_path(), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(begin));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  Ended ended(Outcome outcome, Failure failure, std::string reason) const {
    const std::int64_t steps =
        outcome == Outcome::completed ? settings_.first_step + settings_.steps : steps_done();
    return {settings_.job, settings_.epoch, settings_.name,   outcome,
            failure,       steps,           std::move(reason)};
  }

  Ended lost(int rank) const {
    const std::string who = rank < 0 ? "a worker" : fmt::format("the worker of rank {}", rank);
    Ended end = ended(Outcome::lost, Failure::none, who + " was lost");
    end.lost_rank = rank;
    return end;
  }

  Ended outcome_of(const ProcessEnd& end, int lost_rank) const {
    const std::string status = fmt::format("the run ended with status {}", end.status);
    const bool all =
        settings_.checkpoints.empty() || steps_done() >= settings_.first_step + settings_.steps;
    if (end.status == exit_ok && all) return ended(Outcome::completed, Failure::none, {});
    if (parting_ && end.status == exit_ok)
      return ended(Outcome::stopped, Failure::none,
                   fmt::format("it was stopped, stored up to step {}", steps_done()));
    if (over_ || end.interrupted) return ended(Outcome::stopped, Failure::none, "it was stopped");
    if (end.status == exit_peer_lost || end.status > 128) return lost(lost_rank);
    if (end.status == exit_usage) return ended(Outcome::failed, Failure::invalid, status);
    if (end.status == exit_infeasible) return ended(Outcome::failed, Failure::infeasible, status);
    return ended(Outcome::failed, Failure::run, status);
  }

  // What the run has left behind in our session.
  static void signal_others() {
    for (const pid_t member : members_of_session(getsid(0)))
      if (member != getpid()) kill(member, SIGKILL);
  }

  // First on disk: if nobody hears it now, it is read later.
  int report_end(const Ended& end, CoordinatorLink& link) const {
    if (const auto written = write_end(file("end", "json"), end); !written)
      std::cerr << to_string(written.error()) << "\n";
    link.report({0, end.outcome, end.failure, end.steps_done, end.reason}, settings_.lease_ms);
    return end.outcome == Outcome::completed ? exit_ok : exit_failed;
  }

  LeaderSettings settings_;
  std::atomic<std::int64_t> lease_until_ = 0, stop_at_ = 0;
  std::atomic<bool> over_ = false, done_ = false, parting_ = false;
};

}  // namespace

int lead(const LeaderSettings& settings) { return Leader(settings).run(); }

}  // namespace railwright::coordinator
