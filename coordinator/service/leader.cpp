#include "coordinator/service/leader.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>

#include "coordinator/console.hpp"
#include "coordinator/launch/process.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/coordinator_link.hpp"
#include "coordinator/service/dispatch.hpp"
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
    CoordinatorLink link(link_settings());
    // Without a first grant nothing begins; who is not granted in a lease's time gives up.
    const std::int64_t until = milliseconds_now() + settings_.lease_ms;
    while (lease_until_ == 0 && !over_ && milliseconds_now() < until) pause();
    if (lease_until_ == 0) return exit_failed;
    std::thread guard = unsignalled([this] { watch_the_lease(); });
    const Ended end = execute();
    done_ = true;
    guard.join();
    signal_others();
    return report_end(end, link);
  }

 private:
  LinkSettings link_settings() {
    LinkSettings settings;
    settings.data = settings_.data;
    settings.hello = {settings_.job, settings_.epoch, settings_.name, settings_.token};
    settings.asked_at = milliseconds_now;
    settings.steps_done = [this] { return settings_.first_step; };
    settings.answered = [this](std::int64_t asked_at, wire::Verdict verdict) {
      if (verdict == wire::Verdict::granted) lease_until_ = asked_at + settings_.lease_ms;
      if (verdict == wire::Verdict::stop || verdict == wire::Verdict::dismissed) over_ = true;
    };
    settings.commanded = [this](wire::Verb) { over_ = true; };
    return settings;
  }

  void watch_the_lease() {
    bool told = false;
    for (; !done_; pause()) {
      if (milliseconds_now() >= lease_until_) over_ = true;
      if (over_ && !std::exchange(told, true)) kill(getpid(), SIGTERM);
    }
  }

  Ended execute() {
    ProcessCommand command;
    command.arguments = {own_program(), settings_.emulated ? "emulate" : "run",
                         fmt::format("--plan={}/jobs/{}/plan.{}.json", settings_.data,
                                     settings_.job, settings_.epoch),
                         fmt::format("--steps={}", settings_.steps), "--json"};
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
        settings_.first_step + (outcome == Outcome::completed ? settings_.steps : 0);
    return {settings_.job, settings_.epoch, settings_.name,   outcome,
            failure,       steps,           std::move(reason)};
  }

  Ended outcome_of(const ProcessEnd& end) const {
    const std::string status = fmt::format("the run ended with status {}", end.status);
    if (end.status == exit_ok) return ended(Outcome::completed, Failure::none, {});
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
  int report_end(const Ended& end, CoordinatorLink& link) const {
    const std::string path =
        fmt::format("{}/jobs/{}/end.{}.json", settings_.data, settings_.job, settings_.epoch);
    if (const auto written = write_end(path, end); !written)
      std::cerr << to_string(written.error()) << "\n";
    link.report({0, end.outcome, end.failure, end.steps_done, end.reason}, settings_.lease_ms);
    return end.outcome == Outcome::completed ? exit_ok : exit_failed;
  }

  LeaderSettings settings_;
  std::atomic<std::int64_t> lease_until_ = 0;
  std::atomic<bool> over_ = false, done_ = false;
};

}  // namespace

int lead(const LeaderSettings& settings) { return Leader(settings).run(); }

}  // namespace railwright::coordinator
