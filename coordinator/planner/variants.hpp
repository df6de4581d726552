// What the best points are tried as besides: their ranks in other orders, their stages interleaved.
#pragma once

#include <vector>

#include "coordinator/planner/search.hpp"
#include "coordinator/planner/selection.hpp"

namespace railwright::coordinator {

// Orders of the dimensions that number the ranks differently, the default one first: the fastest
// dimension sits inside the node, or along the last axis of a torus. Orders that would tear groups
// apart are left out; on a mixed cluster stages stay slowest, as the layers are split by them.
std::vector<workload::RankOrder> orders_of(const topology::Cluster& cluster,
                                           const workload::Degrees& degrees);

// What orders_of() finds, and on a torus that the ranks fill each of these along its axes in every
// other sequence too: which dimension runs along which axis. Those that differ only in which of two
// equally long axes comes first are one, and so are those that put each rank on the same place.
std::vector<Placed> arrangements_of(const topology::Cluster& cluster,
                                    const workload::Degrees& degrees);

// Plain 1F1B: interleaved and zero-bubble schedules are emulated instead.
bool has_closed_form(const workload::Degrees& degrees);

// "tp-pp-dp": the dimensions of more than one rank, fastest first.
std::string to_string(const workload::RankOrder& order, const workload::Degrees& degrees);

// The same with the axes of a torus, "tp-dp-pp along yzx", the first one fastest.
std::string in_words(const Placed& placed);

// Of each point the best of its other arrangements, where the closed form finds it faster; on a
// torus a few of them of the first points.
std::vector<PricedPoint> better_orders(const PlanRequest& request,
                                       const std::vector<PricedPoint>& points, Pricing& pricing);

// Pipelines of these points with interleaved stages and with the zero-bubble schedule, as far as
// they are valid. They have no closed form: emulation prices them.
std::vector<workload::Degrees> pipeline_variants(const workload::Training& training,
                                                 const std::vector<PricedPoint>& points,
                                                 const FixedDegrees& fixed);

// These points with their experts' tensors split over some of the ranks of tensor parallelism, in
// halves, as far as they are valid; each once.
std::vector<workload::Degrees> split_variants(const workload::Training& training,
                                              const std::vector<PricedPoint>& points,
                                              const FixedDegrees& fixed);

}  // namespace railwright::coordinator
