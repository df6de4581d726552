#include "coordinator/emulation/sequence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace railwright::coordinator {

using emulator::CollectiveUse;
using emulator::LinkDegradation;
using emulator::StepFaults;
using telemetry::CollectiveSample;

namespace {

// As far as they reach into a step of this length: what ends later lasts.
StepFaults cut(StepFaults faults, Picoseconds length) {
  const auto cut_ends = [&](auto& events) {
    std::erase_if(events,
                  [&](const auto& event) { return event.from.picoseconds >= length.count; });
    for (auto& event : events)
      if (event.until && event.until->picoseconds >= length.count) event.until.reset();
  };
  cut_ends(faults.links);
  cut_ends(faults.accelerators);
  return faults;
}

bool same(const StepFaults& a, const StepFaults& b) {
  const auto equal = [](const auto& x, const auto& y) {
    return std::tie(x.from, x.until, x.factor) == std::tie(y.from, y.until, y.factor);
  };
  return std::ranges::equal(
             a.links, b.links,
             [&](const auto& x, const auto& y) { return x.link == y.link && equal(x, y); }) &&
         std::ranges::equal(a.accelerators, b.accelerators, [&](const auto& x, const auto& y) {
           return x.accelerator == y.accelerator && equal(x, y);
         });
}

// Collects the calls of one kind; its grid is laid around the mean that is expected of a call.
CollectiveSample& sample_of(std::vector<CollectiveSample>& samples, const CollectiveUse& use) {
  const auto [operation, algorithm, group] =
      std::tuple(to_string(use.operation), to_string(use.algorithm), to_string(use.group));
  for (CollectiveSample& sample : samples)
    if (std::tie(sample.operation, sample.algorithm, sample.group) ==
        std::tie(operation, algorithm, group))
      return sample;
  CollectiveSample sample;
  sample.operation = operation;
  sample.algorithm = algorithm;
  sample.group = group;
  sample.duration =
      telemetry::Histogram::around((1 / static_cast<double>(use.count)) * use.expected);
  samples.push_back(std::move(sample));
  return samples.back();
}

void finish(std::vector<CollectiveSample>& samples, const std::vector<CollectiveUse>& uses) {
  std::map<const CollectiveSample*, std::int64_t> calls;
  for (const CollectiveUse& use : uses) {
    CollectiveSample& sample = sample_of(samples, use);
    calls[&sample] += use.count;
    sample.expected_seconds += use.expected.value;
    sample.bytes_total += static_cast<double>(use.count) * static_cast<double>(use.size.count);
  }
  for (CollectiveSample& sample : samples)
    sample.expected_seconds /= static_cast<double>(calls[&sample]);
}

}  // namespace

StepFaults faults_within(const StepFaults& faults, Instant now, Picoseconds length) {
  const auto within = [&](auto events) {
    for (auto& event : events) {
      event.from = {std::max<std::int64_t>(0, event.from.picoseconds - now.picoseconds)};
      if (event.until) event.until = Instant{event.until->picoseconds - now.picoseconds};
    }
    std::erase_if(events, [&](const auto& event) {
      const bool over = event.until && *event.until <= event.from;
      const bool later = event.from.picoseconds > 0 && event.from.picoseconds >= length.count;
      return over || later;
    });
    return events;
  };
  StepFaults part{within(faults.links), within(faults.accelerators), faults.losses};
  for (auto& loss : part.losses) {  // which keep the time at which they began
    loss.from = {loss.from.picoseconds - now.picoseconds};
    if (loss.until) loss.until = Instant{loss.until->picoseconds - now.picoseconds};
  }
  std::erase_if(part.losses,
                [](const auto& loss) { return loss.until && *loss.until <= Instant{0}; });
  return part;
}

StepSequence::StepSequence(const EmulateInputs& inputs, std::function<void(double)> progress)
    : inputs_(inputs),
      faults_(emulator::FaultSequence::make(inputs.faults, inputs.cluster, inputs.seed).value()),
      progress_(std::move(progress)) {}

StepFaults StepSequence::faults_before(Picoseconds length) {
  const Picoseconds left{INT64_MAX - now_.picoseconds};
  const Instant horizon = now_ + std::min(length, left);
  return faults_within(faults_.until(horizon, inputs_.cluster), now_, length);
}

Result<std::reference_wrapper<const EmulatedStep>> StepSequence::next(bool in_detail) {
  const bool known =
      last_ && (last_in_detail_ || !in_detail) &&
      same(cut(faults_before(last_->result.step_time), last_->result.step_time), last_faults_);
  if (!known) {
    auto step = emulate(in_detail);
    if (!step) return tl::unexpected<Errors>(step.error());
    last_ = std::move(*step);
    last_in_detail_ = in_detail;
    const Picoseconds length = last_->result.step_time;
    last_faults_ = cut(faults_before(length), length);
  }
  if (last_->result.standstill) return std::cref(*last_);
  if (last_->result.step_time.count > INT64_MAX - now_.picoseconds)
    return failure({}, fmt::format("step {} would end after event time: 106 days", steps_ + 1),
                   "write fewer --steps");
  now_ = now_ + last_->result.step_time;
  ++steps_;
  return std::cref(*last_);
}

// Faults tell apart what they hit, also when they come after the end. So only those that begin
// within the length of the step are given to it; how long it is, is known afterwards.
Result<EmulatedStep> StepSequence::emulate(bool in_detail) {
  Picoseconds horizon = last_ ? last_->result.step_time : Picoseconds{0};
  for (;;) {
    const StepFaults faults = faults_before(horizon);
    Result<EmulatedStep> step = emulate(faults, in_detail);
    if (!step) return step;
    const auto& standstill = step->result.standstill;
    const Picoseconds length = standstill ? standstill->at - Instant{0} : step->result.step_time;
    if (length <= horizon || same(faults_before(length), faults)) return step;
    horizon = length;
  }
}

Result<EmulatedStep> StepSequence::emulate(const StepFaults& faults, bool in_detail) const {
  EmulatedStep step;
  emulator::StepOptions options;
  options.faults = faults;
  options.fold = inputs_.fold;
  options.progress = progress_;
  options.listed_links = SIZE_MAX;
  if (in_detail) {
    options.sensitivities_up_to = inputs_.sensitivities_up_to;
    options.timeline_ranks = inputs_.timeline_ranks;
    options.course_links = inputs_.course_links;
  }
  options.on_collective = [&](const CollectiveUse& use, Picoseconds time, std::int64_t count) {
    sample_of(step.collectives, use).duration.observe(in_seconds(time), count);
  };
  Result<emulator::StepResult> result =
      emulator::emulate_step(inputs_.cluster, inputs_.plan, inputs_.calibration, options);
  if (!result) return tl::unexpected<Errors>(result.error());
  step.result = std::move(*result);
  finish(step.collectives, step.result.collectives);
  return step;
}

}  // namespace railwright::coordinator
