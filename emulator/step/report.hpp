// What an executed step amounts to. Private to the emulator.
#pragma once

#include <map>

#include "emulator/step/prepared.hpp"

namespace railwright::emulator {

// All of a StepResult but mfu and sensitivities. Moves the network's time to the end of the step.
StepResult report_of(Execution& execution, const Layout& layout, const topology::Cluster& cluster,
                     const StepOptions& options);

// What a step that folds no links puts on each link while the cluster is healthy.
std::map<topology::LinkId, double> link_bytes(StepCosts& costs, const Layout& layout);

// The result of a step beside other jobs, where `alone` is what it is by itself. Links and classes
// count the job's own bytes; how long classes were busy is that of the step alone.
StepResult beside_others(const StepResult& alone, const Execution& execution, const Layout& layout,
                         const topology::Cluster& cluster, const topology::Calibration& calibration,
                         const StepOptions& options);

// Runs the step again and looks at the links that the result names first.
std::vector<LinkCourse> courses_of(const PreparedStep& step, const topology::Cluster& cluster,
                                   const topology::Calibration& calibration,
                                   const StepResult& result, const StepOptions& options);

}  // namespace railwright::emulator
