// Who may run a job: first words, leases, losses.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coordinator/control/control.hpp"

namespace railwright::coordinator::control {

void Control::dismiss(const std::string& id, int epoch, const std::string& leader) {
  act(Dismiss{id, epoch, leader});
}

void Control::handle(const Alive& event) {
  Job* job = current(event.id, event.epoch);
  if (job == nullptr) return dismiss(event.id, event.epoch, event.leader);
  if (job->state == State::starting) bind(*job, event);
  if (job->state != State::running || job->leader != event.leader)
    return dismiss(event.id, event.epoch, event.leader);
  Watch& watch = watches_[event.id];
  watch.heard = now_;
  if (count_steps(*job, event.steps_done)) save(*job);
  if (must_stop(*job) || !watch.displaced.empty()) return act(Stop{event.id, event.epoch});
  watch.lease_until = now_ + settings_.lease_ms + settings_.lease_margin_ms;
  act(Grant{event.id, event.epoch, event.leader, event.asked_at});
}

// The first leader of this epoch. Stored before it is granted anything, so that after a crash too
// no other can be.
void Control::bind(Job& job, const Alive& event) {
  job.leader = event.leader;
  job.reason.clear();
  if (job.lost_since.milliseconds != 0) job.lost_milliseconds += now_ - job.lost_since;
  job.lost_since = {};
  enter(job, State::running);
}

// True when there are new ones. Steps are counted from the job's beginning, so reports that come
// twice or late change nothing.
bool Control::count_steps(Job& job, std::int64_t steps) {
  const std::int64_t counted = std::clamp(steps, job.steps_done, job.spec.steps);
  return std::exchange(job.steps_done, counted) != counted;
}

void Control::handle(const Ended& event) {
  Job* job = current(event.id, event.epoch);
  dismiss(event.id, event.epoch, event.leader);  // it need not report again
  if (job == nullptr) return;
  const bool starting = job->state == State::starting;
  if (!starting && !(job->state == State::running && job->leader == event.leader)) return;
  count_steps(*job, event.steps_done);
  if (event.outcome == Outcome::completed && !starting) {
    count_steps(*job, job->spec.steps);
    finish(*job, State::done, Failure::none, {});
  } else if (job->cancelling) {
    finish(*job, State::cancelled, Failure::none, "cancelled");
  } else if (event.outcome == Outcome::failed) {
    finish(*job, State::failed, event.failure, event.reason);
  } else {
    const std::string displaced = watches_[event.id].displaced;
    const NodeRange nodes = job->nodes;
    lose(*job, displaced.empty() ? event.reason : displaced);
    const int place = event.lost_node - nodes.first;
    if (event.outcome == Outcome::lost && place >= 0 && place < nodes.count)
      suspect(*job, event.lost_node, event.reason);
  }
  schedule();
}

void Control::watch_over(Job& job) {
  const Watch watch = watches_[job.spec.id];
  if (job.state == State::starting && now_ >= watch.deadline) {
    act(Stop{job.spec.id, job.epoch});
    return lose(job, "no leader reported in time");
  }
  if (job.state != State::running) return;
  if (now_ <= watch.lease_until) return;
  if (job.cancelling)
    finish(job, State::cancelled, Failure::none, "cancelled; its leader did not answer");
  else
    lose(job, "its leader did not answer until its lease ended");
}

// One loss may be chance. A node that loses two workers within a short time is taken out of use,
// where it can be spared: a bad node is better than none. A job that then loses a worker elsewhere
// is at fault itself: the node is taken back, and it accuses nobody any more. An accusation counts
// while its node is out of use: a crash, or whoever repairs nodes, may have come between.
void Control::suspect(Job& job, int node, const std::string& how) {
  if (!job.may_accuse) return;
  if (job.accused_node >= 0 && down_.contains(job.accused_node)) {
    const int before = job.accused_node;
    if (!is_final(job.state)) {  // what is final does not change any more
      job.accused_node = -1;
      job.may_accuse = false;
      save(job);
    }
    return handle(NodeUp{before});
  }
  const auto latest = suspected_.find(node);
  const bool again = latest != suspected_.end() && is_recent(latest->second);
  if (again && !is_final(job.state) && can_spare(node)) {
    job.accused_node = node;
    save(job);  // first: nobody could take back a node that is out of use for no job
    return handle(
        NodeDown{node, fmt::format("it lost two workers within {} minutes, the last of job {}: {}",
                                   settings_.suspicion_ms / 60'000, job.spec.id, how)});
  }
  suspected_[node] = {node, false, fmt::format("lost a worker of job {}: {}", job.spec.id, how),
                      now_};
  save(suspected_[node]);
}

bool Control::is_recent(const NodeState& loss) const {
  return now_ - loss.lost_worker < settings_.suspicion_ms;
}

std::vector<NodeState> Control::suspected_nodes() const {
  std::vector<NodeState> nodes;
  for (const auto& [node, state] : suspected_)
    if (is_recent(state)) nodes.push_back(state);
  return nodes;
}

// It is granted nothing any more, and ends by its own word or with its lease.
bool Control::must_stop(const Job& job) const {
  const auto down = down_.lower_bound(job.nodes.first);
  const bool on_down_node = down != down_.end() && down->first < job.nodes.first + job.nodes.count;
  return job.cancelling || (job.state == State::running && on_down_node);
}

// Nobody runs this epoch any more, and nobody will.
void Control::lose(Job& job, const std::string& reason) {
  ++job.losses;
  job.nodes = {};
  if (job.losses > job.spec.retries)
    return finish(job, State::failed, Failure::lost,
                  "lost " + std::to_string(job.losses) + " times, the last time: " + reason);
  job.reason = reason;
  if (job.lost_since.milliseconds == 0)
    job.lost_since = job.state == State::running ? watches_[job.spec.id].heard : now_;
  job.leader.clear();
  enter(job, State::recovering);
  const int doublings = std::min(job.losses - 1, 6);
  watches_[job.spec.id].deadline =
      now_ + std::min<std::int64_t>(60'000, settings_.back_off_ms << doublings);
}

}  // namespace railwright::coordinator::control
