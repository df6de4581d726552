#include "collectives/algorithms/switches/stages.hpp"

#include "collectives/algorithms/trees/in_order_trees.hpp"

namespace railwright::collectives {
namespace {

bool is_all_reduce(const Schedule& schedule) { return schedule.operation == Operation::all_reduce; }

// One stage for one piece, seen from one end.
class StageSends {
 public:
  StageSends(const Schedule& schedule, int stage, std::int64_t piece, int end, bool sending,
             std::vector<Send>& sends)
      : schedule_(schedule),
        stage_(stages_of(schedule)[static_cast<std::size_t>(stage)]),
        first_channel_(stage * channels_per_stage(schedule)),
        piece_(piece),
        end_(end),
        sending_(sending),
        inner_(on_one_switch(schedule)),
        sends_(sends) {}

  void add() {
    switch (stage_.kind) {
      case StageKind::contribute:
        return meets_children() ? contribute_to_others()
                                : between_rank_and_switch(true, whole_piece(), Action::reduce);
      case StageKind::collect:
        return between_rank_and_switch(false, {}, meets_children() ? Action::reduce : Action::copy);
      case StageKind::give_back:
        return between_rank_and_switch(true, {}, Action::copy);
      case StageKind::spread:
        return between_rank_and_switch(false, whole_piece(), Action::copy);
      case StageKind::enter:
        return between_rank_and_network(true, Action::reduce);
      case StageKind::leave:
        return between_rank_and_network(false, Action::copy);
      case StageKind::up:
      case StageKind::down:
        return along_tree();
      case StageKind::chain_in:
      case StageKind::chain_out:
        return along_chain();
      case StageKind::gather:
      case StageKind::deal:
        return chunk_by_chunk();
    }
  }

 private:
  ChunkRange whole_piece() const { return {piece_ * inner_, inner_}; }
  ChunkRange chunk_of(int local) const { return {piece_ * inner_ + local, 1}; }
  // In a tree the sums of other nodes may come before that of the own one: both are added, and what
  // a rank has of its own chunk stays where it is.
  bool meets_children() const { return schedule_.algorithm == Algorithm::nvls_tree; }
  int node_switch(int node) const { return schedule_.ranks + node; }
  bool at_rank() const { return end_ < schedule_.ranks; }

  void send(int source, int target, ChunkRange chunks, Action action, int sub) {
    sends_.push_back({source, target, chunks, action, first_channel_ + sub});
  }

  // `chunks` empty: that of the rank. Copies of a whole piece leave a switch on one channel.
  void rank_and_switch(int rank, int other, bool into, ChunkRange chunks, Action action) {
    const int local = rank % inner_;
    const bool own = chunks.count == 0;
    if (own) chunks = chunk_of(local);
    send(into ? rank : other, into ? other : rank, chunks, action, !into && own ? local : 0);
  }

  void between_rank_and_switch(bool into, ChunkRange chunks, Action action) {
    if (at_rank()) {
      if (sending_ == into) rank_and_switch(end_, node_switch(end_ / inner_), into, chunks, action);
      return;
    }
    const int node = end_ - schedule_.ranks;
    if (sending_ == into || node >= nodes_of(schedule_)) return;
    for (int local = 0; local < inner_; ++local)
      rank_and_switch(node * inner_ + local, end_, into, chunks, action);
  }

  // All chunks but the own one.
  void contribute_to_others() {
    if (at_rank() != sending_) return;
    const int node = at_rank() ? end_ / inner_ : end_ - schedule_.ranks;
    for (int local = 0; local < inner_; ++local) {
      const int rank = node * inner_ + local;
      if (at_rank() && rank != end_) continue;
      const std::int64_t base = piece_ * inner_;
      const ChunkRange below{base, local}, above{base + local + 1, inner_ - local - 1};
      if (below.count > 0) send(rank, node_switch(node), below, Action::reduce, 0);
      if (above.count > 0) send(rank, node_switch(node), above, Action::reduce, 1);
    }
  }

  // Switches of the network count behind those of the nodes, where there are any.
  int network_switch(int local) const {
    return schedule_.ranks + (inner_ > 1 ? nodes_of(schedule_) : 0) + local;
  }
  void rank_and_network(int rank, int local, bool into, Action action) {
    const int other = network_switch(local);
    send(into ? rank : other, into ? other : rank, chunk_of(local), action, 0);
  }
  void between_rank_and_network(bool into, Action action) {
    if (at_rank()) {
      if (sending_ == into) rank_and_network(end_, end_ % inner_, into, action);
      return;
    }
    const int local = end_ - network_switch(0);
    if (sending_ == into || local < 0) return;
    for (int node = 0; node < nodes_of(schedule_); ++node)
      rank_and_network(node * inner_ + local, local, into, action);
  }

  // Between the rank at depth `level` of its tree and its parent there.
  void along_edge(const TwoTrees& trees, int tree, int child, int local) {
    if (child < 0 || trees.depth(tree, child) != stage_.level) return;
    const int parent = trees.parent(tree, child);
    const int below = child * inner_ + local, above = parent * inner_ + local;
    if (stage_.kind == StageKind::up)
      send(below, above, chunk_of(local), Action::reduce, 0);
    else
      send(above, below, chunk_of(local), Action::copy, trees.side(tree, child));
  }
  void along_tree() {
    const int node = end_ / inner_, local = end_ % inner_;
    if (!at_rank()) return;
    const TwoTrees trees(nodes_of(schedule_));
    const int tree = static_cast<int>(piece_ % 2);
    if (sending_ == (stage_.kind == StageKind::up)) return along_edge(trees, tree, node, local);
    for (const int child : trees.children(tree, node)) along_edge(trees, tree, child, local);
  }

  // For every head between the ranks `level` and level - 1 hops away from it.
  void along_chain() {
    const bool in = stage_.kind == StageKind::chain_in;
    const int node = end_ / inner_, away = sending_ == in ? stage_.level : stage_.level - 1;
    const int head = modulo(end_ % inner_ - away, inner_);
    const int far = node * inner_ + modulo(head + stage_.level, inner_);
    const int near = node * inner_ + modulo(head + stage_.level - 1, inner_);
    send(in ? far : near, in ? near : far, chunk_of(head), in ? Action::reduce : Action::copy, 0);
  }

  // Reduce-scatter: all to the switch, it to the owner; all-gather, broadcast: the other way round.
  void chunk_by_chunk() {
    const bool into = stage_.kind == StageKind::gather;
    const bool reduces = schedule_.operation == Operation::reduce_scatter;
    const bool everybody = into == reduces;
    const Action action = into && reduces ? Action::reduce : Action::copy;
    const int owner = owner_of(schedule_, piece_), hub = node_switch(0);
    const auto add = [&](int rank) {
      send(into ? rank : hub, into ? hub : rank, {piece_, 1}, action, 0);
    };
    if (at_rank()) {
      if (sending_ == into && (everybody || end_ == owner)) add(end_);
    } else if (sending_ != into) {
      for (int rank = 0; rank < schedule_.ranks; ++rank)
        if (everybody || rank == owner) add(rank);
    }
  }

  const Schedule& schedule_;
  Stage stage_;
  int first_channel_;
  std::int64_t piece_;
  int end_;
  bool sending_;
  int inner_;
  std::vector<Send>& sends_;
};

}  // namespace

int on_one_switch(const Schedule& schedule) {
  return schedule.algorithm == Algorithm::nvls ? schedule.ranks : schedule.inner;
}
int nodes_of(const Schedule& schedule) { return schedule.ranks / on_one_switch(schedule); }

namespace {

void add_tree(int nodes, std::vector<Stage>& stages) {
  const int height = nodes > 1 ? TwoTrees(nodes).height() : 0;
  for (int level = height; level >= 1; --level) stages.push_back({StageKind::up, level});
  for (int level = 1; level <= height; ++level) stages.push_back({StageKind::down, level});
}

std::vector<Stage> chains_and_tree(const Schedule& schedule) {
  std::vector<Stage> stages;
  const int last = schedule.inner - 1;
  for (int level = last; level >= 1; --level) stages.push_back({StageKind::chain_in, level});
  add_tree(nodes_of(schedule), stages);
  for (int level = 1; level <= last; ++level) stages.push_back({StageKind::chain_out, level});
  return stages;
}

}  // namespace

std::vector<Stage> stages_of(const Schedule& schedule) {
  if (schedule.algorithm == Algorithm::double_tree) return chains_and_tree(schedule);
  if (!is_all_reduce(schedule)) return {{StageKind::gather, 0}, {StageKind::deal, 0}};
  std::vector<Stage> stages;
  const bool inside = on_one_switch(schedule) > 1;
  if (inside) stages = {{StageKind::contribute, 0}, {StageKind::collect, 0}};
  if (schedule.algorithm == Algorithm::sharp) {
    stages.push_back({StageKind::enter, 0});
    stages.push_back({StageKind::leave, 0});
  } else if (schedule.algorithm == Algorithm::nvls_tree) {
    add_tree(nodes_of(schedule), stages);
  }
  if (inside) {
    stages.push_back({StageKind::give_back, 0});
    stages.push_back({StageKind::spread, 0});
  }
  return stages;
}

std::int64_t pieces_of(const Schedule& schedule) {
  const bool parts = schedule.operation == Operation::reduce_scatter ||
                     schedule.operation == Operation::all_gather;
  return std::int64_t{schedule.segments} * (parts ? schedule.ranks : 1);
}

int chunks_per_piece(const Schedule& schedule) {
  return is_all_reduce(schedule) ? on_one_switch(schedule) : 1;
}

int channels_per_stage(const Schedule& schedule) {
  return is_all_reduce(schedule) ? std::max(2, chunks_per_piece(schedule)) : 1;
}

int owner_of(const Schedule& schedule, std::int64_t piece) {
  if (schedule.operation == Operation::broadcast) return schedule.root;
  return static_cast<int>(piece / schedule.segments);
}

int pattern_of_stage(const Stage& stage, std::int64_t piece) {
  if (stage.kind == StageKind::chain_in) return 0;
  if (stage.kind == StageKind::chain_out) return 1;
  assert(stage.kind == StageKind::up || stage.kind == StageKind::down);
  return 4 * stage.level + 2 * static_cast<int>(piece % 2) + (stage.kind == StageKind::up ? 0 : 1);
}

namespace {

void add_chain_hops(const Schedule& schedule, bool in, const ConnectionSink& sink) {
  const int inner = schedule.inner;
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    const int next = modulo(rank % inner + (in ? -1 : 1), inner);
    sink(rank, rank / inner * inner + next, 0);
  }
}

// What goes down to a right child has a channel of its own.
void add_tree_edges(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  const TwoTrees trees(nodes_of(schedule));
  const int level = pattern / 4, tree = pattern / 2 % 2, inner = schedule.inner;
  const bool up = pattern % 2 == 0;
  for (const int side : {0, 1})
    trees.for_depth(tree, level, [&](int child) {
      if (up ? side == 1 : trees.side(tree, child) != side) return;
      const int parent = trees.parent(tree, child);
      for (int local = 0; local < inner; ++local) {
        const int below = child * inner + local, above = parent * inner + local;
        up ? sink(below, above, 0) : sink(above, below, side);
      }
    });
}

}  // namespace

void add_connections(const Schedule& schedule, int pattern, const ConnectionSink& sink) {
  pattern < 2 ? add_chain_hops(schedule, pattern == 0, sink)
              : add_tree_edges(schedule, pattern, sink);
}

void add_stage_sends(const Schedule& schedule, int stage, std::int64_t piece, int end, bool sending,
                     std::vector<Send>& sends) {
  StageSends(schedule, stage, piece, end, sending, sends).add();
}

}  // namespace railwright::collectives
