// Emulated steps as the counters that Prometheus scrapes.
#pragma once

#include "coordinator/emulation/sequence.hpp"

namespace railwright::coordinator {

// Adds up steps. Link classes, the ten links that were busiest in the first step, and at most 64
// ranks (of more, those that wait least: the others wait for them) have series of their own.
class StepTotals {
 public:
  StepTotals(const EmulateInputs& inputs, const EmulatedStep& first);
  void add(const EmulatedStep& step);
  void set_state(const std::string& state) { snapshot_.job_state = state; }
  // The step that does not end: its ranks are lost.
  void stand_still(const EmulatedStep& step);
  // As of `now`, in Unix time: emulated workers are heard of whenever somebody asks.
  telemetry::Snapshot snapshot(double now) const;

 private:
  void bound_collectives(const EmulatedStep& first);
  void choose_links(const EmulatedStep& first);
  void choose_ranks(const EmulatedStep& first);
  void add_links(const emulator::StepResult& result);
  void add_collectives(const EmulatedStep& step);

  const EmulateInputs& inputs_;
  telemetry::Snapshot snapshot_;
  std::map<topology::LinkId, std::size_t> named_links_;  // -> index into snapshot_.links
};

}  // namespace railwright::coordinator
