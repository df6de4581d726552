// Step after step in virtual time. A fault of the file strikes in the step in which its time lies;
// steps that nothing tells apart are emulated once. A step that stands still is the last one.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "coordinator/emulation/inputs.hpp"
#include "telemetry/telemetry.hpp"

namespace railwright::coordinator {

// One step, and how long each collective of it took.
struct EmulatedStep {
  emulator::StepResult result;
  std::vector<telemetry::CollectiveSample> collectives;  // per operation, algorithm and group
};

class StepSequence {
 public:
  // `inputs` must outlive it.
  StepSequence(const EmulateInputs& inputs, std::function<void(double)> progress);
  // The next step; the reference is good until the next call. `in_detail`: with
  // sensitivities, and what files to write need.
  Result<std::reference_wrapper<const EmulatedStep>> next(bool in_detail = false);
  Instant now() const { return now_; }  // when that step ended
  std::int64_t steps() const { return steps_; }

 private:
  Result<EmulatedStep> emulate(bool in_detail);
  Result<EmulatedStep> emulate(const emulator::StepFaults& faults, bool in_detail) const;
  emulator::StepFaults faults_before(Picoseconds length);

  const EmulateInputs& inputs_;
  emulator::FaultSequence faults_;
  std::function<void(double)> progress_;
  Instant now_{0};
  std::int64_t steps_ = 0;
  std::optional<EmulatedStep> last_;
  bool last_in_detail_ = false;
  emulator::StepFaults last_faults_;  // as far as they reached into that step
};

// The part of the faults that begins before now + length and lasts beyond now, counted from now.
emulator::StepFaults faults_within(const emulator::StepFaults& faults, Instant now,
                                   Picoseconds length);

}  // namespace railwright::coordinator
