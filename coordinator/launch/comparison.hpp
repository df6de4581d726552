// Measured beside predicted: what the workers report, read against the plan.
#pragma once

#include <string>

#include "coordinator/console.hpp"
#include "emulator/plan.hpp"

namespace railwright::coordinator {

struct Comparison {
  Json steps, measured, predicted, ratio, slow_links, slow_ranks;
  std::string not_judged;  // why ratios say nothing here; empty: they do
};

// `result` is the document that railwright-worker writes. Ratios are judged only where every rank
// has a core of its own.
Comparison compare(const Json& result, const emulator::Plan& plan, unsigned cores);

Json comparison_json(const Comparison& comparison);
std::string comparison_text(const Comparison& comparison);

}  // namespace railwright::coordinator
