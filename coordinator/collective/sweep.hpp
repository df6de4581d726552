// Runs a request: every size with every algorithm that is wanted, and the numbers beside them.
#pragma once

#include "collectives/attainable.hpp"
#include "coordinator/collective/choice.hpp"

namespace railwright::coordinator {

struct Row {
  Wanted wanted;
  Choice choice;
  MessageSize size;
  emulator::CollectiveResult result;
  Seconds expected;  // its phases one after another on idle, healthy links: the planner's price
  std::optional<collectives::nccl::Choice> nccl_takes;  // absent: no model of it

  const collectives::Schedule& schedule() const { return choice.schedule; }
  Seconds time() const { return in_seconds(result.time); }
  Bandwidth algbw() const;  // 0 where no time passes
  Bandwidth busbw() const;
};

struct Sweep {
  std::vector<Row> rows;  // size by size, in each those that are wanted in their order
  // Of the healthy cluster; absent: too large to know.
  std::optional<collectives::Bound> bound;
  std::optional<collectives::Bound> bound_in_network;  // absent too where no switch takes part
  std::optional<collectives::Attainable> attainable;

  // Where switches reduce for the row it is the one that holds for them.
  const std::optional<collectives::Bound>& bound_of(const Row& row) const;
  std::optional<Seconds> bound_time(const Row& row) const;
  std::optional<Seconds> attainable_time(const Row& row) const;
};

// Bus bandwidth that `time` for `size` makes; 0 where no time passes.
Bandwidth bus_bandwidth(const CollectiveRequest& request, Bytes size, Seconds time);
// What nccl-tests counts: elements, of one rank's part where ranks have parts.
std::uint64_t count_of(const CollectiveRequest& request, Bytes size);

// Progress goes to a terminal on stderr.
Result<Sweep> run_sweep(const CollectiveRequest& request);

}  // namespace railwright::coordinator
