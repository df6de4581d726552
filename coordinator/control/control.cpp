#include "coordinator/control/control.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace railwright::coordinator::control {

Metrics metrics_of(const std::map<std::string, Job>& jobs) {
  Metrics metrics;
  for (const State state : every_state) metrics.jobs[state] = 0;
  for (const auto& [id, job] : jobs) {
    ++metrics.jobs[job.state];
    metrics.steps += job.steps_done;
    metrics.attempts += job.epoch;
    metrics.losses += job.losses;
    metrics.lost_milliseconds += job.lost_milliseconds;
  }
  return metrics;
}

Control::Control(Settings settings, std::vector<Job> jobs, const std::vector<NodeState>& nodes)
    : settings_(settings) {
  assert(settings.nodes >= 1);
  for (Job& job : jobs) {
    next_number_ = std::max(next_number_, job.number + 1);
    if (!is_final(job.state)) live_[job.number] = job.spec.id;
    jobs_.emplace(job.spec.id, std::move(job));
  }
  for (const NodeState& node : nodes) {
    if (node.node >= settings.nodes) continue;
    if (node.down) down_[node.node] = node;
    if (node.lost_worker.milliseconds != 0) suspected_[node.node] = node;
  }
}

// What was under way is asked for again: whoever does it already ignores the second request, and
// who had finished is not believed to know more than is stored.
std::vector<Action> Control::start(Moment now) {
  now_ = now;
  for (const auto& [number, id] : live_) {
    const Job& job = jobs_.at(id);
    Watch& watch = watches_[id];
    watch.heard = now;
    watch.deadline = job.state == State::recovering ? now : now + settings_.start_patience_ms;
    if (job.state == State::running)
      watch.lease_until = now + settings_.lease_ms + settings_.lease_margin_ms;
    if (job.state == State::planning) act(Plan{id, job.epoch, job.nodes});
    if (job.state == State::starting) act(Launch{id, job.epoch, job.nodes, job.first_step});
    if (must_stop(job)) act(Stop{id, job.epoch});
  }
  schedule();
  return std::exchange(out_, {});
}

std::vector<Action> Control::on(const Event& event, Moment now) {
  now_ = std::max(now_, now);
  std::visit([&](const auto& what) { handle(what); }, event);
  return std::exchange(out_, {});
}

void Control::act(Action action) {
  if (persisted_ == saved_)
    out_.push_back(std::move(action));
  else
    held_.emplace(saved_, std::move(action));
}

void Control::save(Job& job) {
  job.changed = now_;
  out_.push_back(Persist{++saved_, job});
}

void Control::save(const NodeState& node) { out_.push_back(Persist{++saved_, node}); }

void Control::handle(const Persisted& event) {
  persisted_ = std::max(persisted_, event.sequence);
  const auto end = held_.upper_bound(persisted_);
  for (auto it = held_.begin(); it != end; ++it) out_.push_back(std::move(it->second));
  held_.erase(held_.begin(), end);
}

std::string Control::why_refused(const JobSpec& spec) const {
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  if (spec.id.empty()) return "a job needs an id";
  if (spec.nodes < 1 || spec.nodes > settings_.nodes)
    return number(spec.nodes) + " nodes are wanted; the cluster has 1 to " +
           number(settings_.nodes);
  if (spec.least_nodes < 1 || spec.least_nodes > spec.nodes)
    return "at least " + number(spec.least_nodes) + " nodes cannot be had of " + number(spec.nodes);
  if (spec.steps < 1) return "a job takes at least one step";
  if (spec.retries < 0) return "retries cannot be negative";
  if (live_.size() >= settings_.most_jobs)
    return number(static_cast<std::int64_t>(live_.size())) + " jobs wait already; try again later";
  return {};
}

void Control::handle(const Submit& event) {
  const auto known = jobs_.find(event.spec.id);
  if (known != jobs_.end()) {
    const bool same = known->second.spec == event.spec;
    act(Reply{event.tag, same ? Answer::already_there : Answer::conflict,
              same ? "" : "job " + event.spec.id + " is another one; choose another id"});
    return;
  }
  if (const std::string reason = why_refused(event.spec); !reason.empty()) {
    act(Reply{event.tag, Answer::refused, reason});
    return;
  }
  Job& job = jobs_[event.spec.id];
  job.spec = event.spec;
  job.number = next_number_++;
  job.submitted = now_;
  live_[job.number] = job.spec.id;
  save(job);
  act(Reply{event.tag, Answer::accepted, {}});
  schedule();
}

void Control::handle(const Cancel& event) {
  const auto known = jobs_.find(event.id);
  if (known == jobs_.end()) {
    act(Reply{event.tag, Answer::unknown, "there is no job " + event.id});
    return;
  }
  Job& job = known->second;
  if (job.state == State::running && !job.cancelling) {
    job.cancelling = true;
    save(job);
    act(Stop{event.id, job.epoch});
  } else if (!is_final(job.state) && job.state != State::running) {
    const int epoch = job.epoch;
    const bool under_way = job.state == State::planning || job.state == State::starting;
    finish(job, State::cancelled, Failure::none, "cancelled");
    if (under_way) act(Stop{event.id, epoch});
  }
  act(Reply{event.tag, Answer::accepted, {}});
  schedule();
}

void Control::handle(const Planned& event) {
  Job* job = current(event.id, event.epoch);
  if (job == nullptr || job->state != State::planning) return;
  const bool on_fewer = job->nodes.count < job->spec.nodes;
  if (event.failure == Failure::infeasible && on_fewer) return wait_for_more(*job, event.reason);
  if (event.failure != Failure::none) {
    finish(*job, State::failed, event.failure, event.reason);
    schedule();
    return;
  }
  job->reason = event.reason;
  if (may_move(event.id, event.nodes)) job->nodes = event.nodes;
  enter(*job, State::starting);
  act(Launch{event.id, event.epoch, job->nodes, job->first_step});
}

void Control::handle(const Displace& event) {
  Job* job = current(event.id, event.epoch);
  if (job == nullptr || job->state != State::running) return;
  if (job->losses >= job->spec.retries) return;  // it counts as a loss: better slow than failed
  watches_[event.id].displaced = event.reason;
  act(Stop{event.id, event.epoch});
}

void Control::handle(const NodeDown& event) {
  if (event.node < 0 || event.node >= settings_.nodes || down_.contains(event.node)) return;
  down_[event.node] = {event.node, true, event.reason, {}};
  suspected_.erase(event.node);
  save(down_[event.node]);
  for (const auto& [number, id] : std::map(live_)) {
    Job& job = jobs_.at(id);
    const int place = event.node - job.nodes.first;
    if (place < 0 || place >= job.nodes.count) continue;
    act(Stop{id, job.epoch});
    // What runs gets no more grants, and ends by its own word or with its lease.
    if (job.state == State::running) continue;
    lose(job, "node " + std::to_string(event.node) + " is down: " + event.reason);
  }
  schedule();
}

void Control::handle(const NodeUp& event) {
  if (!down_.erase(event.node)) return;
  save(NodeState{event.node, false, {}, {}});
  for (const auto& [number, id] : live_) {
    Job& job = jobs_.at(id);
    if (job.accused_node != event.node) continue;
    job.accused_node = -1;  // or it would take the node back from who takes it out later
    save(job);
  }
  schedule();
}

void Control::handle(const Tick&) {
  for (const auto& [number, id] : std::map(live_)) watch_over(jobs_.at(id));
  schedule();
}

void Control::enter(Job& job, State state) {
  job.state = state;
  Watch& watch = watches_[job.spec.id];
  watch = {};
  watch.heard = now_;
  watch.deadline = now_ + settings_.start_patience_ms;
  save(job);
}

Job* Control::current(const std::string& id, int epoch) {
  const auto known = jobs_.find(id);
  if (known == jobs_.end() || is_final(known->second.state)) return nullptr;
  return known->second.epoch == epoch ? &known->second : nullptr;
}

void Control::finish(Job& job, State state, Failure failure, const std::string& reason) {
  assert(!is_final(job.state) && is_final(state));
  job.state = state;
  job.failure = failure;
  job.reason = reason;
  job.ended = now_;
  job.nodes = {};
  job.cancelling = false;
  if (job.lost_since.milliseconds != 0) job.lost_milliseconds += now_ - job.lost_since;
  job.lost_since = {};
  live_.erase(job.number);
  watches_.erase(job.spec.id);
  save(job);
}

}  // namespace railwright::coordinator::control
