#include "coordinator/emulation/serve.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>

#include "coordinator/emulation/metrics.hpp"

namespace railwright::coordinator {

namespace {

using Clock = std::chrono::steady_clock;

// SIGINT and SIGTERM wait until they are asked for, in this thread and in those it starts; while
// `open`, they end the program at once as usual. Shells start `command &` in scripts with SIGINT
// ignored, and what is ignored never arrives: both go back to their default first.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    close();
  }
  ~Signals() { open(); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  void open() { pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }
  void close() { pthread_sigmask(SIG_BLOCK, &set_, nullptr); }

  // True when a signal came, false at the deadline.
  bool wait_until(Clock::time_point deadline) {
    for (;;) {
      const auto left = std::max(Clock::duration::zero(), deadline - Clock::now());
      const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
      const timespec timeout{
          whole.count(),
          std::chrono::duration_cast<std::chrono::nanoseconds>(left - whole).count()};
      if (sigtimedwait(&set_, nullptr, &timeout) > 0) return true;
      if (Clock::now() >= deadline) return false;
    }
  }
  void wait() {
    int signal = 0;
    sigwait(&set_, &signal);
  }

 private:
  sigset_t set_;
};

bool is_loopback(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || host.rfind("127.", 0) == 0;
}

// Virtual seconds per wall second; 0 = as fast as it goes.
Result<double> parse_speed(const EmulateOptions& options) {
  if (options.speed == "max") {
    if (options.steps > 0) return 0.0;
    return failure({}, "--speed max without --steps never ends", "say how many --steps");
  }
  double speed = 0;
  const char* end = options.speed.data() + options.speed.size();
  const auto [stop, error] = std::from_chars(options.speed.data(), end, speed);
  if (error == std::errc{} && stop == end && speed > 0 && speed <= 1e9) return speed;
  return failure({}, fmt::format("--speed '{}' is no pace", options.speed),
                 "write virtual seconds per second, as in 10, or max");
}

class Server {
 public:
  Server(const EmulateOptions& options, const EmulateInputs& inputs, double speed,
         telemetry::Exporter& exporter, Signals& signals)
      : options_(options), inputs_(inputs), speed_(speed), exporter_(exporter), signals_(signals) {}

  int run(const std::function<void(const StepSequence&, const EmulatedStep&)>& show) {
    StepSequence sequence(inputs_, progress_bar("emulating"));
    std::optional<StepTotals> totals;
    bool stopped = false;
    while (!stopped && (options_.steps == 0 || sequence.steps() < options_.steps)) {
      signals_.open();
      const std::int64_t shown = std::max<std::int64_t>(1, options_.steps);
      const auto step = sequence.next(sequence.steps() + 1 == shown);
      signals_.close();
      if (!step) return report(step.error());
      if (step->get().result.standstill) return stand_still(totals, sequence, step->get());
      if (!totals) totals.emplace(inputs_, step->get());
      if (sequence.steps() == 1) start_ = Clock::now();
      // A step shows in the counters when it has ended.
      stopped = pace(sequence.now());
      if (!stopped) totals->add(step->get());
      if (sequence.steps() == options_.steps) totals->set_state("completed");
      publish(*totals, sequence.steps() == options_.steps);
      if (sequence.steps() == shown) show(sequence, step->get());
    }
    if (!stopped) signals_.wait();
    return exit_ok;
  }

 private:
  bool pace(Instant virtual_now) {
    if (speed_ == 0) return signals_.wait_until(Clock::now());
    constexpr double decades = 1e9;  // what the clock can add in any case
    const double wall = std::min(decades, in_seconds(virtual_now - Instant{0}).value / speed_);
    return signals_.wait_until(
        start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(wall)));
  }

  // No scrape sees more than a few steps a second, so copying every snapshot would be for nothing.
  void publish(const StepTotals& totals, bool last) {
    const auto now = Clock::now();
    if (!last && published_ && now - *published_ < std::chrono::milliseconds(50)) return;
    published_ = now;
    exporter_.publish(totals.snapshot(
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
            .count()));
  }

  // The counters stay where they are, as those of a job that hangs do, until a signal.
  int stand_still(std::optional<StepTotals>& totals, const StepSequence& sequence,
                  const EmulatedStep& step) {
    const emulator::Standstill& standstill = *step.result.standstill;
    std::cerr << standstill_text(standstill, sequence.steps() + 1, sequence.now());
    const bool stopped = pace(sequence.now() + (standstill.at - Instant{0}));
    if (!totals) totals.emplace(inputs_, step);
    totals->stand_still(step);
    publish(*totals, true);
    if (!stopped) signals_.wait();
    return exit_failed;
  }

  const EmulateOptions& options_;
  const EmulateInputs& inputs_;
  double speed_;
  telemetry::Exporter& exporter_;
  Signals& signals_;
  Clock::time_point start_;
  std::optional<Clock::time_point> published_;
};

}  // namespace

int serve(const EmulateOptions& options, const EmulateInputs& inputs,
          const std::function<void(const StepSequence&, const EmulatedStep&)>& show) {
  if (!options.allow_remote && !is_loopback(options.listen))
    return report_usage(fmt::format("--listen {} could be reached from other machines; there is "
                                    "no authentication",
                                    options.listen),
                        "write 127.0.0.1:PORT, or add --allow-remote");
  const Result<double> speed = parse_speed(options);
  if (!speed) return report(speed.error());
  Signals signals;  // before the exporter's threads, which inherit the mask
  auto exporter = telemetry::Exporter::listen(options.listen);
  if (!exporter) return report(exporter.error());
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  std::cerr << fmt::format("metrics: http://{}:{}/metrics until SIGINT\n", host,
                           (*exporter)->port());
  return Server(options, inputs, *speed, **exporter, signals).run(show);
}

}  // namespace railwright::coordinator
