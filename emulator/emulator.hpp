// Emulator: what happens when programs meet links.
//
// A plan (plan.hpp) puts the programs of its stages on the accelerators of a cluster. emulate_step
// runs them in virtual time: compute takes what the roofline says, a collective moves its phases
// over the network (network.hpp), where transfers share links max-min fairly (solver.hpp). Out come
// the step time, blame that adds up to it, the load of every link and, when asked, the timeline.
//
//   Result<Plan> plan = load_plan("plan.json");
//   Result<topology::Cluster> cluster = topology::build_cluster(plan->cluster);
//   Result<StepResult> step = emulate_step(*cluster, *plan, topology::default_calibration());
//
// No wall clock, no threads, no randomness: the same inputs give the same bytes.
#pragma once

#include "emulator/blame.hpp"
#include "emulator/collective.hpp"
#include "emulator/faults.hpp"
#include "emulator/jobs.hpp"
#include "emulator/network.hpp"
#include "emulator/plan.hpp"
#include "emulator/solver.hpp"
#include "emulator/step.hpp"
