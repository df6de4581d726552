#include "coordinator/planner/walk.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace railwright::coordinator {

namespace {

struct Played {
  double start = 0, end = 0;
  int because_of = -1;  // the op that it waited for last; -1: nothing
};

std::vector<Played> play(const workload::Program& program,
                         const std::vector<const CauseSeconds*>& cost) {
  std::vector<Played> played(program.ops.size());
  std::array<int, workload::stream_count> last;
  last.fill(-1);
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const workload::Op& op = program.ops[i];
    Played& now = played[i];
    const auto wait_for = [&](int other) {
      if (other < 0 || played[static_cast<std::size_t>(other)].end < now.start) return;
      now.start = played[static_cast<std::size_t>(other)].end;
      now.because_of = other;
    };
    int& stream_last = last[static_cast<std::size_t>(op.stream)];
    wait_for(stream_last);
    for (const int other : op.after) wait_for(other);
    now.end = now.start + (cost[i] == nullptr ? 0 : cost[i]->total());
    stream_last = static_cast<int>(i);
  }
  return played;
}

bool belongs_to_micro_batch(const workload::Op& op) {
  using workload::Stream;
  return op.micro_batch >= 0 && (op.stream == Stream::compute || op.stream == Stream::tensor_comm);
}

bool is_meeting(const workload::Op& op) {
  return op.kind == workload::OpKind::collective && op.group == workload::Dimension::pp;
}

// Causes on the critical path to the end of op `from`, between `since` and `until`.
CauseSeconds critical_path(const std::vector<Played>& played,
                           const std::vector<const CauseSeconds*>& cost, int from, double since,
                           double until, std::size_t link_classes) {
  CauseSeconds causes(link_classes);
  for (int i = from; i >= 0; i = played[static_cast<std::size_t>(i)].because_of) {
    const Played& op = played[static_cast<std::size_t>(i)];
    if (op.end <= since) break;
    const double length = op.end - op.start;
    const double counted = std::min(op.end, until) - std::max(op.start, since);
    const auto* parts = cost[static_cast<std::size_t>(i)];
    if (parts != nullptr && counted > 0) causes.add(*parts, counted / length);
  }
  return causes;
}

// The moments that the result is made of, and the ops that end at them.
struct Moments {
  double forward_end = 0, backward_end = 0, meeting = -1, end = 0;
  int last_backward = -1, last = -1;
};

Moments moments_of(const workload::Program& program, const std::vector<Played>& played) {
  Moments moments;
  for (std::size_t i = 0; i < played.size(); ++i) {
    const workload::Op& op = program.ops[i];
    if (belongs_to_micro_batch(op) && !op.backward)
      moments.forward_end = std::max(moments.forward_end, played[i].end);
    if (belongs_to_micro_batch(op) && played[i].end >= moments.backward_end) {
      moments.backward_end = played[i].end;
      moments.last_backward = static_cast<int>(i);
    }
    if (is_meeting(op)) moments.meeting = played[i].start;
    if (played[i].end >= moments.end) {
      moments.end = played[i].end;
      moments.last = static_cast<int>(i);
    }
  }
  if (moments.meeting < 0) moments.meeting = moments.end;
  return moments;
}

}  // namespace

Walk walk_program(const workload::Program& program, const std::vector<const CauseSeconds*>& cost,
                  std::size_t link_classes) {
  assert(cost.size() == program.ops.size());
  const std::vector<Played> played = play(program, cost);
  const Moments at = moments_of(program, played);
  const auto path = [&](int from, double since, double until) {
    return critical_path(played, cost, from, since, until, link_classes);
  };
  return {at.forward_end,
          at.backward_end - at.forward_end,
          at.meeting - at.backward_end,
          at.end - at.meeting,
          path(at.last_backward, 0, at.backward_end),
          path(at.last, at.backward_end, at.meeting),
          path(at.last, at.meeting, at.end)};
}

}  // namespace railwright::coordinator
