// Why the best plan is the best, and what would change that.
#pragma once

#include <string>
#include <vector>

#include "coordinator/coordinator.hpp"
#include "coordinator/planner/selection.hpp"

namespace railwright::coordinator {

// What the reasons are drawn from.
struct Evidence {
  const PlanRequest& request;
  const topology::Cluster& gate;  // whose memory decides what fits
  const Economy& economy;
  const std::vector<workload::Degrees>& rejected;  // by memory
  const std::vector<PricedPoint>& ranked;          // the best, priced last
};

// By subject: what limits the best plan; by which causes it beats the next and the rule of thumb;
// which plan memory forbids though it would be better, and how much memory it asks for; at which
// bandwidth of the links that limit most another plan would be the best. Planning has its
// candidates and its baseline.
std::vector<Reason> reasons_of(const Evidence& evidence, const Planning& planning,
                               Pricing& pricing);

// "pipeline_bubble 1.2 s less, link:rail 0.3 s more": the causes that differ most, largest first.
std::string difference_in_words(const emulator::Blame& mine, const emulator::Blame& other);

// Degrees for a sentence: only what differs from the defaults.
std::string short_words(const workload::Degrees& degrees);

}  // namespace railwright::coordinator
