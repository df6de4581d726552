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

bool same(const StepFaults& a, const StepFaults& b) {
  const auto equal = [](const LinkDegradation& x, const LinkDegradation& y) {
    return std::tie(x.link, x.from, x.until, x.factor) ==
           std::tie(y.link, y.from, y.until, y.factor);
  };
  return std::equal(a.links.begin(), a.links.end(), b.links.begin(), b.links.end(), equal);
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

StepFaults faults_within(const StepFaults& faults, Instant now, std::optional<Picoseconds> length) {
  StepFaults within;
  within.accelerators = faults.accelerators;
  for (LinkDegradation fault : faults.links) {
    fault.from = {std::max<std::int64_t>(0, fault.from.picoseconds - now.picoseconds)};
    if (fault.until) fault.until = Instant{fault.until->picoseconds - now.picoseconds};
    if (fault.until && *fault.until <= fault.from) continue;
    if (length && fault.from.picoseconds >= length->count) continue;
    if (length && fault.until && fault.until->picoseconds >= length->count) fault.until.reset();
    within.links.push_back(fault);
  }
  return within;
}

StepSequence::StepSequence(const EmulateInputs& inputs, std::function<void(double)> progress)
    : inputs_(inputs), progress_(std::move(progress)) {}

Result<std::reference_wrapper<const EmulatedStep>> StepSequence::next(bool in_detail) {
  const auto length = last_ ? std::optional(last_->result.step_time) : std::nullopt;
  const bool known = last_ && (last_in_detail_ || !in_detail) &&
                     same(faults_within(inputs_.faults, now_, length), last_faults_);
  if (!known) {
    auto step = emulate(faults_within(inputs_.faults, now_, std::nullopt), in_detail);
    if (!step) return tl::unexpected<Errors>(step.error());
    last_ = std::move(*step);
    last_in_detail_ = in_detail;
    last_faults_ = faults_within(inputs_.faults, now_, last_->result.step_time);
  }
  if (last_->result.step_time.count > INT64_MAX - now_.picoseconds)
    return failure({}, fmt::format("step {} would end after event time: 106 days", steps_ + 1),
                   "write fewer --steps");
  now_ = now_ + last_->result.step_time;
  ++steps_;
  return std::cref(*last_);
}

Result<EmulatedStep> StepSequence::emulate(const StepFaults& faults, bool in_detail) const {
  EmulatedStep step;
  emulator::StepOptions options;
  options.faults = faults;
  options.fold = inputs_.fold;
  options.progress = progress_;
  options.listed_links = SIZE_MAX;
  if (in_detail) options.sensitivities_up_to = inputs_.sensitivities_up_to;
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
