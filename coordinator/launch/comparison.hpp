// What the workers measured, as a document beside what the plan predicted.
#pragma once

#include "coordinator/console.hpp"
#include "emulator/plan.hpp"

namespace railwright::coordinator {

// `result` is the document of railwright-worker; it holds steps, measured, predicted, ratio,
// slow_links and slow_ranks. Ratios say something only where every rank has a core of its own:
// `judged` tells, and `not_judged` why not.
Result<Json> compare(const Json& result, const emulator::Plan& plan, unsigned cores);

}  // namespace railwright::coordinator
