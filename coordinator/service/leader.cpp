#include "coordinator/service/leader.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>

#include "coordinator/console.hpp"
#include "coordinator/launch/process.hpp"
#include "coordinator/service/checkpoints.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/client.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

using Clock = std::chrono::steady_clock;

std::int64_t milliseconds_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
      .count();
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1'000)); }

class Leader {
 public:
  explicit Leader(const LeaderSettings& settings) : settings_(settings) {}

  int run() {
    // Without a first grant nothing begins; who is not granted in a lease's time gives up.
    const std::int64_t until = milliseconds_now() + settings_.lease_ms;
    const auto waits = [&] { return !lease_until_ && !over_ && !stop_at_; };
    while (waits() && milliseconds_now() < until) {
      ask();
      if (waits()) pause();
    }
    if (!lease_until_) return exit_failed;
    std::thread heart = beating();
    const Ended end = execute();
    done_ = true;
    heart.join();
    signal_others();
    return report_end(end);
  }

 private:
  // Asks for the lease. The coordinator may be away for a while, or come back elsewhere.
  void ask() {
    const std::int64_t asked_at = milliseconds_now();
    const std::string answer = say({{"asked_at", asked_at}});
    if (answer == "granted") lease_until_ = asked_at + settings_.lease_ms;
    if (answer == "stop" && !stop_at_) stop_at_ = asked_at + parting_ms();
    if (answer == "dismissed") over_ = true;
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
  std::string stop_file() const {
    return fmt::format("{}/jobs/{}/stop.{}", settings_.data, settings_.job, settings_.epoch);
  }
  void part() {
    const std::int64_t until =
        stop_at_ ? std::min(stop_at_.load(), lease_until_.load()) : lease_until_.load();
    if (milliseconds_now() >= until) over_ = true;
    if (parting_ms() == 0 || milliseconds_now() < until - parting_ms()) return;
    if (!parting_.exchange(true)) write_file(stop_file(), "");
  }

  std::string say(const Json& more) const {
    Json word = {{"id", settings_.job},
                 {"epoch", settings_.epoch},
                 {"leader", settings_.name},
                 {"steps_done", steps_done()}};
    word.update(more);
    const auto address = read_file(settings_.data + "/address");
    const auto answer = ask_coordinator(address.value_or("127.0.0.1:0"), "POST", "/api/v1/leaders",
                                        word.dump(), settings_.token);
    if (!answer || answer->status != 200) return {};
    return Json::parse(answer->body, nullptr, false).value("answer", "");
  }

  // Its thread takes no signals, so that they reach the one that follows the run.
  std::thread beating() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread thread([this] { beat(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  }

  void beat() {
    bool told = false;
    for (int quarter = 0; !done_; ++quarter) {
      if (quarter % 4 == 0 && !over_) ask();
      part();
      if (over_ && !std::exchange(told, true)) kill(getpid(), SIGTERM);
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
    }
  }

  Ended execute() {
    const std::int64_t left = settings_.first_step + settings_.steps - steps_done();
    if (left <= 0) return ended(Outcome::completed, Failure::none, {});
    ProcessCommand command;
    command.arguments = {own_program(), settings_.emulated ? "emulate" : "run",
                         fmt::format("--plan={}/jobs/{}/plan.{}.json", settings_.data,
                                     settings_.job, settings_.epoch),
                         fmt::format("--steps={}", left), "--json"};
    command.arguments.insert(command.arguments.end(), settings_.run.begin(), settings_.run.end());
    if (!settings_.checkpoints.empty()) {
      command.arguments.push_back("--stop-file=" + stop_file());
      if (stored_steps(settings_.checkpoints) > 0) command.arguments.push_back("--resume");
    }
    command.arguments = tethered(std::move(command.arguments), "TERM");
    command.shows_output = true;
    const auto end = run_process(command);
    if (!end) {
      std::cerr << to_string(end.error()) << "\n";
      return ended(Outcome::failed, Failure::run, "it could not be started");
    }
    return outcome_of(*end);
  }

  Ended ended(Outcome outcome, Failure failure, std::string reason) const {
    const std::int64_t steps =
        outcome == Outcome::completed ? settings_.first_step + settings_.steps : steps_done();
    return {settings_.job, settings_.epoch, settings_.name,   outcome,
            failure,       steps,           std::move(reason)};
  }

  Ended outcome_of(const ProcessEnd& end) const {
    const std::string status = fmt::format("the run ended with status {}", end.status);
    const bool all =
        settings_.checkpoints.empty() || steps_done() >= settings_.first_step + settings_.steps;
    if (end.status == exit_ok && all) return ended(Outcome::completed, Failure::none, {});
    if (parting_ && end.status == exit_ok)
      return ended(Outcome::stopped, Failure::none,
                   fmt::format("it was stopped, stored up to step {}", steps_done()));
    if (over_ || end.interrupted) return ended(Outcome::stopped, Failure::none, "it was stopped");
    if (end.status == exit_peer_lost || end.status > 128)
      return ended(Outcome::lost, Failure::none, "a worker was lost");
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
  int report_end(const Ended& end) const {
    const std::string path =
        fmt::format("{}/jobs/{}/end.{}.json", settings_.data, settings_.job, settings_.epoch);
    if (const auto written = write_end(path, end); !written)
      std::cerr << to_string(written.error()) << "\n";
    const Json word = {{"outcome", static_cast<unsigned>(end.outcome)},
                       {"failure", static_cast<unsigned>(end.failure)},
                       {"steps_done", end.steps_done},
                       {"reason", end.reason}};
    const std::int64_t until = milliseconds_now() + settings_.lease_ms;
    while (say(word).empty() && milliseconds_now() < until) pause();
    return end.outcome == Outcome::completed ? exit_ok : exit_failed;
  }

  LeaderSettings settings_;
  std::atomic<std::int64_t> lease_until_ = 0, stop_at_ = 0;
  std::atomic<bool> over_ = false, done_ = false, parting_ = false;
};

}  // namespace

int lead(const LeaderSettings& settings) { return Leader(settings).run(); }

}  // namespace railwright::coordinator
