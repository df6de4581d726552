// From the words of a measurement to the run that the model predicts. What the words leave out has
// a documented default (docs/validate.md), and the run says which of them it rests on.
#pragma once

#include <string>
#include <vector>

#include "collectives/library_time.hpp"
#include "coordinator/validation/measurement.hpp"

namespace railwright::coordinator {

struct Described {
  collectives::library::Run run;
  std::vector<std::string> defaults;  // "rate of the NICs", "kind of network", ...
  std::string why_not;                // empty: the run can be predicted
};

Described described(const Measurement& measurement);

// Rows that are one system for the floor: operation, accelerator, ranks, nodes, NICs, network and
// wiring. Not the library: which version ran is part of what sources disagree on.
std::string system_of(const Described& described);

}  // namespace railwright::coordinator
