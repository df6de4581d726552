// Which nodes a job gets, and when.
#include <algorithm>

#include "coordinator/control/control.hpp"

namespace railwright::coordinator::control {

namespace {

// Gaps between taken nodes, from the lowest.
std::vector<NodeRange> gaps_of(const std::vector<bool>& taken) {
  std::vector<NodeRange> gaps;
  for (int node = 0; node < static_cast<int>(taken.size()); ++node) {
    if (taken[node]) continue;
    if (!gaps.empty() && gaps.back().first + gaps.back().count == node)
      ++gaps.back().count;
    else
      gaps.push_back({node, 1});
  }
  return gaps;
}

}  // namespace

NodeRange best_gap(const std::vector<bool>& taken, int wanted) {
  NodeRange best;
  for (const NodeRange& gap : gaps_of(taken))
    if (gap.count >= wanted && (best.count == 0 || gap.count < best.count)) best = gap;
  return best.count == 0 ? best : NodeRange{best.first, wanted};
}

std::vector<NodeRange> places_in_gaps(const std::vector<bool>& taken, int wanted) {
  std::vector<NodeRange> gaps = gaps_of(taken), places;
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const NodeRange& a, const NodeRange& b) { return a.count < b.count; });
  for (const NodeRange& gap : gaps) {
    if (gap.count < wanted) continue;
    places.push_back({gap.first, wanted});
    if (gap.count > wanted) places.push_back({gap.first + gap.count - wanted, wanted});
  }
  return places;
}

std::vector<NodeRange> Control::candidates_for(const std::string& id, std::size_t most) const {
  const NodeRange own = jobs_.at(id).nodes;
  std::vector<NodeRange> candidates = {own};
  for (const NodeRange& place : places_in_gaps(taken_nodes(id), own.count))
    if (place != own && candidates.size() < most) candidates.push_back(place);
  return candidates;
}

bool Control::may_move(const std::string& id, NodeRange nodes) const {
  if (nodes.first < 0 || nodes.count < 1 || nodes.first + nodes.count > settings_.nodes)
    return false;
  const auto taken = taken_nodes(id);
  return std::none_of(taken.begin() + nodes.first, taken.begin() + nodes.first + nodes.count,
                      [](bool is_taken) { return is_taken; });
}

std::vector<bool> Control::taken_nodes(const std::string& but_by) const {
  std::vector<bool> taken(settings_.nodes, false);
  for (const auto& [node, state] : down_) taken[node] = true;
  for (const auto& [number, id] : live_) {
    if (id == but_by) continue;
    const NodeRange& nodes = jobs_.at(id).nodes;
    std::fill_n(taken.begin() + nodes.first, nodes.count, true);
  }
  return taken;
}

// The longest run of nodes that are up, taken or not.
int Control::nodes_within_reach(int without) const {
  std::vector<bool> down(settings_.nodes, false);
  if (without >= 0) down[without] = true;
  for (const auto& [node, state] : down_) down[node] = true;
  int most = 0;
  for (const NodeRange& gap : gaps_of(down)) most = std::max(most, gap.count);
  return most;
}

// First come, first served: nobody overtakes a job that waits for nodes, or a large one would wait
// for ever. Jobs that had been running come before new ones, as they are the older ones. Only what
// has to wait until nodes are up again holds nobody back.
void Control::schedule() {
  for (const auto& [number, id] : live_) {
    Job& job = jobs_.at(id);
    const bool waits = job.state == State::queued || job.state == State::recovering;
    if (!waits) continue;
    if (nodes_within_reach() < least_nodes(job)) {
      note_waiting(job);
      continue;
    }
    if (job.state == State::recovering && now_ < watches_[id].deadline) return;
    if (!give_nodes(job)) return;
  }
}

// No job would have to wait for its repair.
bool Control::can_spare(int node) const {
  const int left = nodes_within_reach(node);
  return std::all_of(live_.begin(), live_.end(),
                     [&](const auto& live) { return least_nodes(jobs_.at(live.second)) <= left; });
}

int Control::least_nodes(const Job& job) const {
  return std::max(job.spec.least_nodes, job.needs_nodes);
}

void Control::note_waiting(Job& job) {
  const std::string why = "waits for repairs: " + std::to_string(nodes_within_reach()) +
                          " nodes in a row are up, " + std::to_string(least_nodes(job)) +
                          " are needed";
  if (job.reason == why) return;
  job.reason = why;
  save(job);
}

// No plan fits on the nodes that are left: it waits until there are more of them.
void Control::wait_for_more(Job& job, const std::string& reason) {
  job.needs_nodes = job.nodes.count + 1;
  job.nodes = {};
  job.reason = reason;
  enter(job, State::recovering);
  watches_[job.spec.id].deadline = now_;
  schedule();
}

// As many as it wants; where so many are never there any more, as many as are left and suffice.
bool Control::give_nodes(Job& job) {
  const int wanted = std::min(job.spec.nodes, nodes_within_reach());
  const NodeRange nodes = best_gap(taken_nodes(), wanted);
  if (nodes.count == 0) return false;
  job.nodes = nodes;
  ++job.epoch;
  job.leader.clear();
  job.first_step = job.steps_done;
  enter(job, State::planning);
  act(Plan{job.spec.id, job.epoch, job.nodes});
  return true;
}

}  // namespace railwright::coordinator::control
