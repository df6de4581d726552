#include "emulator/step/critical_path.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

#include "emulator/step/exchange_walk.hpp"

namespace railwright::emulator {

using workload::OpKind;

namespace {

// When an actor computes or meets its tensor-parallel peers: what keeps its stage busy.
class BusyTimes {
 public:
  BusyTimes(const StepRecord& record, const Layout& layout, int actor) {
    const StageLayout& stage = layout.of_actor(actor);
    std::vector<std::pair<Instant, Instant>> spans;
    for (int op = 0; op < stage.ops(); ++op) {
      const workload::Op& what = stage.program.ops[op];
      const bool computes = what.kind == OpKind::compute;
      if (!computes && what.stream != workload::Stream::tensor_comm) continue;
      const std::int64_t instance = layout.instance(actor, op);
      spans.emplace_back(
          computes ? record.ready[instance] : record.exchanges[layout.exchange(actor, op)].start,
          record.end[instance]);
    }
    std::sort(spans.begin(), spans.end());
    for (const auto& [from, to] : spans) append(from, to);
  }

  Picoseconds within(Instant from, Instant to) const { return before(to) - before(from); }

 private:
  struct Span {
    Instant from, to;
    Picoseconds before;  // busy before it
  };

  void append(Instant from, Instant to) {
    const Instant free = spans_.empty() ? Instant{0} : spans_.back().to;
    if (to <= free) return;
    const Picoseconds so_far = before(free);
    spans_.push_back({std::max(from, free), to, so_far});
  }

  Picoseconds before(Instant at) const {
    const auto after =
        std::upper_bound(spans_.begin(), spans_.end(), at,
                         [](Instant when, const Span& span) { return when < span.from; });
    if (after == spans_.begin()) return {0};
    const Span& last = *std::prev(after);
    return last.before + (std::min(at, last.to) - last.from);
  }

  std::vector<Span> spans_;
};

class PathWalk {
 public:
  PathWalk(const StepRecord& record, const Layout& layout, const StepCosts& costs,
           const Network& network, const topology::Graph& graph)
      : record_(record), layout_(layout), costs_(costs), network_(network), graph_(graph) {}

  CriticalPath run() {
    const std::vector<OpOfActor> path = find_path();
    const int main_actor = actor_of_main_stage(path);
    main_stage_ = layout_.stage_of(main_actor);
    const BusyTimes busy(record_, layout_, main_actor);
    busy_ = &busy;
    for (const OpOfActor& at : path) {
      const OpKind kind = layout_.op(at.actor, at.op).kind;
      if (kind == OpKind::compute) blame_compute(at);
      if (kind == OpKind::collective || kind == OpKind::send) blame_exchange(at);
    }
    return {blame_.build(), std::move(limits_)};
  }

 private:
  // From the op that ended last back to the start of the step.
  std::vector<OpOfActor> find_path() const {
    std::vector<OpOfActor> path;
    for (std::optional<OpOfActor> at = last_op(); at; at = before(*at)) path.push_back(*at);
    return path;
  }

  // Ties: the lowest actor, then the lowest op.
  OpOfActor last_op() const {
    const Instant last = *std::max_element(record_.end.begin(), record_.end.end());
    for (int actor = 0; actor < layout_.actors(); ++actor)
      for (int op = 0; op < layout_.of_actor(actor).ops(); ++op)
        if (end_of({actor, op}) == last) return {actor, op};
    return {};
  }

  // The op's critical predecessor; none at the start of the step.
  std::optional<OpOfActor> before(const OpOfActor& at) const {
    const OpKind kind = layout_.op(at.actor, at.op).kind;
    // A collective started when its last member came: the path goes on there.
    if (kind == OpKind::collective)
      return predecessor_of(exchange_at(at).last_actor, exchange_at(at).last_op);
    if (kind == OpKind::receive && waited_for_data(at.actor, at.op))
      return OpOfActor{layout_.peer_of(at.actor, at.op), layout_.of_actor(at.actor).peer_op[at.op]};
    return predecessor_of(at.actor, at.op);
  }

  // An actor on the path, of the stage on which the path is the longest time (ties: the lowest).
  int actor_of_main_stage(const std::vector<OpOfActor>& path) const {
    std::vector<Picoseconds> time(static_cast<std::size_t>(layout_.stages()));
    std::vector<int> actor(time.size(), 0);
    for (const OpOfActor& at : path) {
      const OpKind kind = layout_.op(at.actor, at.op).kind;
      if (kind == OpKind::receive) continue;
      const int stage = layout_.stage_of(at.actor);
      time[stage] += end_of(at) - start_of(at);
      actor[stage] = at.actor;
    }
    return actor[std::max_element(time.begin(), time.end()) - time.begin()];
  }

  Instant end_of(const OpOfActor& at) const {
    return record_.end[layout_.instance(at.actor, at.op)];
  }

  Instant start_of(const OpOfActor& at) const {
    return layout_.op(at.actor, at.op).kind == OpKind::compute
               ? record_.ready[layout_.instance(at.actor, at.op)]
               : exchange_at(at).start;
  }

  const Exchange& exchange_at(const OpOfActor& at) const {
    return record_.exchanges[layout_.exchange(at.actor, at.op)];
  }

  bool waited_for_data(int actor, int op) const {
    const std::int64_t instance = layout_.instance(actor, op);
    return record_.end[instance] > record_.ready[instance];
  }

  std::optional<OpOfActor> predecessor_of(int actor, int op) const {
    const StageLayout& stage = layout_.of_actor(actor);
    std::optional<OpOfActor> found;
    const auto consider = [&](int before) {
      const OpOfActor candidate{actor, before};
      const bool later = !found || end_of(candidate) > end_of(*found);
      const bool lower = found && end_of(candidate) == end_of(*found) && before < found->op;
      if (later || lower) found = candidate;
    };
    if (stage.stream_previous[op] >= 0) consider(stage.stream_previous[op]);
    for (const int before : stage.program.ops[op].after) consider(before);
    assert(record_.ready[layout_.instance(actor, op)] == (found ? end_of(*found) : Instant{0}));
    return found;
  }

  // On the main stage a span belongs to its parts. On another stage it does so only while the main
  // stage is busy too; while that has nothing to run, the pipeline has a bubble.
  void charge(const OpOfActor& at, const BlameParts& parts, Instant from, Instant to) {
    const bool main = layout_.stage_of(at.actor) == main_stage_;
    const Picoseconds own = main ? to - from : busy_->within(from, to);
    if (own.count > 0) blame_.add_split(parts, own);
    blame_.add("pipeline_bubble", (to - from) - own);
  }

  // A slow accelerator stretches the work; while it stands still, everybody waits for its return.
  void blame_compute(const OpOfActor& at) {
    const ComputeCost& cost = costs_.compute(at.actor, at.op);
    const Instant start = start_of(at), end = end_of(at);
    const Picoseconds still = costs_.speed(at.actor).standing_still(start, end);
    const Instant nominal_end = std::min(start + cost.time, end);
    const Instant slow_end = std::max(nominal_end, Instant{end.picoseconds - still.count});
    const Instant hindered_end = nominal_end + lost_to_overlap(at, slow_end - nominal_end);
    charge(at,
           {{"tensor_peak", cost.parts.tensor_peak},
            {"tensor_inefficiency", cost.parts.tensor_inefficiency},
            {"hbm", cost.parts.hbm},
            {"launch", cost.parts.launch},
            {"host", cost.parts.host}},
           start, nominal_end);
    charge(at, {{"interference", seconds(1)}}, nominal_end, hindered_end);
    charge(at, {{"straggler", seconds(1)}}, hindered_end, slow_end);
    blame_.add("recovery", end - slow_end);
  }

  // Of what it took beyond the nominal time: all of it on an accelerator of full speed.
  Picoseconds lost_to_overlap(const OpOfActor& at, Picoseconds beyond) const {
    if (record_.lost_to_overlap.empty()) return {0};
    const Picoseconds lost = record_.lost_to_overlap[layout_.instance(at.actor, at.op)];
    const bool full_speed = costs_.speed(at.actor) == SpeedCourse();
    return full_speed && lost.count > 0 ? beyond : std::min(lost, beyond);
  }

  void blame_exchange(const OpOfActor& at) {
    const auto latency = [&](const ExchangePhase& phase, Instant from, Instant to) {
      charge(at,
             {{"link_latency", phase.link_latency}, {"software_latency", phase.software_latency}},
             from, to);
    };
    const auto moves = [&](const Piece& piece, Instant from, Instant to) {
      assert(piece.link.index >= 0 && "transfers of a step have no cap of their own");
      const std::string cause = "link:" + graph_.class_of(piece.link).name;
      const double own = 1 / static_cast<double>(piece.slowdown);
      const BlameParts parts = {{cause, seconds(own)}, {"interference", seconds(1 - own)}};
      charge(at, parts, from, to);
      limits_[piece.link] += split(parts, to - from).front().count;
    };
    const auto gap = [&](Instant from, Instant to) { blame_.add("recovery", to - from); };
    const std::int64_t index = layout_.exchange(at.actor, at.op);
    const Instant now = walk_exchange(record_, network_, index, latency, moves, gap);
    assert(now == end_of(at) || record_.exchanges[index].stalled);
    if (now < end_of(at)) gap(now, end_of(at));
  }

  const StepRecord& record_;
  const Layout& layout_;
  const StepCosts& costs_;
  const Network& network_;
  const topology::Graph& graph_;
  int main_stage_ = 0;
  const BusyTimes* busy_ = nullptr;
  BlameBuilder blame_;
  std::map<topology::LinkId, std::int64_t> limits_;
};

}  // namespace

CriticalPath critical_path(const StepRecord& record, const Layout& layout, const StepCosts& costs,
                           const Network& network, const topology::Graph& graph) {
  return PathWalk(record, layout, costs, network, graph).run();
}

}  // namespace railwright::emulator
