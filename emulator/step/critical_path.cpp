#include "emulator/step/critical_path.hpp"

#include <algorithm>

namespace railwright::emulator {

using workload::OpKind;

namespace {

class PathWalk {
 public:
  PathWalk(const StepRecord& record, const Layout& layout, const StepCosts& costs,
           const Network& network, const topology::Graph& graph)
      : record_(record), layout_(layout), costs_(costs), network_(network), graph_(graph) {
    per_stage_.resize(static_cast<std::size_t>(layout.stages()));
  }

  CriticalPath run() {
    // max_element gives the first of equals: the lowest op instance.
    const auto last = std::max_element(record_.end.begin(), record_.end.end());
    std::int64_t at = last - record_.end.begin();
    while (at >= 0) at = step_back(at);
    return {joined(), std::move(limits_)};
  }

 private:
  // Blames the op and returns its critical predecessor, -1 at the start of the step.
  std::int64_t step_back(std::int64_t instance) {
    const std::int64_t rank = layout_.rank_of_instance(instance);
    const int op = static_cast<int>(instance - layout_.instance(rank, 0));
    switch (layout_.op(rank, op).kind) {
      case OpKind::compute:
        blame_compute(rank, op);
        break;
      case OpKind::collective:
        blame_exchange(rank, op);
        // It started when its last member came: the path goes on there.
        return predecessor_of(exchange_at(rank, op).last_rank, exchange_at(rank, op).last_op);
      case OpKind::send:
        blame_exchange(rank, op);
        break;
      case OpKind::receive:
        if (waited_for_data(rank, op))
          return layout_.instance(layout_.peer_of(rank, op), layout_.of_rank(rank).peer_op[op]);
        break;
    }
    return predecessor_of(rank, op);
  }

  const Exchange& exchange_at(std::int64_t rank, int op) const {
    return record_.exchanges[layout_.exchange(rank, op)];
  }

  bool waited_for_data(std::int64_t rank, int op) const {
    const std::int64_t instance = layout_.instance(rank, op);
    return record_.end[instance] > record_.ready[instance];
  }

  std::int64_t predecessor_of(std::int64_t rank, int op) const {
    const StageLayout& stage = layout_.of_rank(rank);
    std::int64_t found = -1;
    const auto consider = [&](int before) {
      const std::int64_t candidate = layout_.instance(rank, before);
      const bool later = found < 0 || record_.end[candidate] > record_.end[found];
      const bool lower = found >= 0 && record_.end[candidate] == record_.end[found];
      if (later || (lower && candidate < found)) found = candidate;
    };
    if (stage.stream_previous[op] >= 0) consider(stage.stream_previous[op]);
    for (const int before : stage.program.ops[op].after) consider(before);
    assert(record_.ready[layout_.instance(rank, op)] ==
           (found < 0 ? Instant{0} : record_.end[found]));
    return found;
  }

  BlameBuilder& builder_of(std::int64_t rank) { return per_stage_[layout_.stage_of(rank)]; }

  void blame_compute(std::int64_t rank, int op) {
    const ComputeCost& cost = costs_.compute(rank, op);
    BlameBuilder& blame = builder_of(rank);
    blame.add_split({{"tensor_peak", cost.parts.tensor_peak},
                     {"tensor_inefficiency", cost.parts.tensor_inefficiency},
                     {"hbm", cost.parts.hbm},
                     {"launch", cost.parts.launch}},
                    cost.time);
    blame.add("straggler", costs_.compute_time(rank, op) - cost.time);
  }

  void blame_exchange(std::int64_t rank, int op) {
    const Exchange& exchange = exchange_at(rank, op);
    BlameBuilder& blame = builder_of(rank);
    Instant at = exchange.start;
    for (std::size_t p = 0; p < exchange.cost->phases.size(); ++p) {
      const ExchangePhase& phase = exchange.cost->phases[p];
      blame.add_split(
          {{"link_latency", phase.link_latency}, {"software_latency", phase.software_latency}},
          phase.latency);
      at = at + phase.latency;
      const TransferId transfer = record_.transfers[exchange.first_transfer + p];
      if (transfer.index < 0) continue;
      for (const Piece& piece : network_.pieces(transfer)) {
        assert(piece.link.index >= 0 && "transfers of a step have no cap of their own");
        blame.add("link:" + graph_.class_of(piece.link).name, piece.end - at);
        limits_[piece.link] += (piece.end - at).count;
        at = piece.end;
      }
    }
    assert(at == record_.end[layout_.instance(rank, op)]);
  }

  Blame joined() const {
    std::size_t main = 0;
    for (std::size_t s = 1; s < per_stage_.size(); ++s)
      if (per_stage_[s].total() > per_stage_[main].total()) main = s;
    BlameBuilder blame = per_stage_[main];
    for (std::size_t s = 0; s < per_stage_.size(); ++s)
      if (s != main) blame.add("pipeline_bubble", per_stage_[s].total());
    return blame.build();
  }

  const StepRecord& record_;
  const Layout& layout_;
  const StepCosts& costs_;
  const Network& network_;
  const topology::Graph& graph_;
  std::vector<BlameBuilder> per_stage_;
  std::map<topology::LinkId, std::int64_t> limits_;
};

}  // namespace

CriticalPath critical_path(const StepRecord& record, const Layout& layout, const StepCosts& costs,
                           const Network& network, const topology::Graph& graph) {
  return PathWalk(record, layout, costs, network, graph).run();
}

}  // namespace railwright::emulator
