// A Snapshot as prometheus-cpp metric families: what the exporter collects on each scrape.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "telemetry/telemetry.hpp"

namespace railwright::telemetry {

// At most this many links are named; classes take turns, and within a class those that hold
// transfers back longest win, then the busiest, then the lower name. Classes are all kept: a label
// set costs the reader of a time series, not us.
inline constexpr std::size_t named_links = 10;

// Samples with the same labels are merged and values that are not finite are left out, so the text
// is always one that Prometheus accepts. Families without a sample are left out.
std::vector<prometheus::MetricFamily> families_of(const Snapshot& snapshot);

}  // namespace railwright::telemetry
