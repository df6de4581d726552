// Leaders of the simulated world, and the checkers.
#include <algorithm>
#include <utility>

#include "world.hpp"

namespace railwright::test {

using namespace control;

// A launcher remembers what it started, but for once in a while.
void World::launch(const Launch& launch) {
  if (!launched_.emplace(launch.id, launch.epoch).second && !chance(0.2)) return;
  Leader leader;
  leader.id = launch.id;
  leader.epoch = launch.epoch;
  leader.name =
      launch.id + "." + std::to_string(launch.epoch) + "." + std::to_string(leaders_.size());
  leader.nodes = launch.nodes;
  leader.step = leader.checkpoint = launch.first_step;
  leader.rate = 0.99 + 0.0002 * static_cast<double>(below(100));
  leader.offset = below(7'200'000);
  leaders_.push_back(leader);
  heart_beat(leaders_.size() - 1);
}

void World::send_to(std::size_t index, std::function<void(Leader&)> arrive) {
  send([this, index, arrive = std::move(arrive)] {
    if (leaders_[index].cut_until <= now_) arrive(leaders_[index]);
  });
}

// Before its end it asks for the lease, after it it reports until somebody has heard it.
void World::heart_beat(std::size_t index) {
  const Leader& leader = leaders_[index];
  if (leader.dead || leader.dismissed) return;
  at(1'000, [this, index] { heart_beat(index); });
  if (now_ < leader.cut_until) return;
  Event event = Alive{leader.id, leader.epoch, leader.name, leader.local(now_), leader.checkpoint};
  if (leader.ended)
    event = Ended{leader.id,         leader.epoch,  leader.name, leader.outcome,    Failure::run,
                  leader.checkpoint, "its own end", 0,           leader.nodes.first};
  send([this, event] { deliver(event); });
}

void World::work(std::size_t index) {
  at(100 + below(4'000), [this, index] {
    Leader& leader = leaders_[index];
    if (leader.dead || leader.ended) return;
    if (!leader.works(now_)) {
      ++report_.expired;
      return end(index, Outcome::stopped);
    }
    check_alone(leader);
    executed_[leader.id].insert(++leader.step);
    const auto& spec = std::find_if(clients_.begin(), clients_.end(), [&](const Client& client) {
                         return client.spec.id == leader.id;
                       })->spec;
    const bool complete = leader.step >= spec.steps;
    if (complete || leader.step % 4 == 0) leader.checkpoint = leader.step;
    if (complete) return end(index, Outcome::completed);
    if (chance(0.002)) return end(index, Outcome::failed);
    if (!calm_ && chance(0.01)) return end(index, Outcome::lost);
    work(index);
  });
}

void World::end(std::size_t index, Outcome outcome) {
  Leader& leader = leaders_[index];
  if (leader.dead || leader.ended) return;
  leader.ended = true;
  leader.outcome = outcome;
}

// Without a word; sometimes whoever started it sees it.
void World::kill(std::size_t index) {
  Leader& leader = leaders_[index];
  if (leader.dead) return;
  leader.dead = true;
  if (!leader.ended && chance(0.5))
    send([this, event = Ended{leader.id, leader.epoch, leader.name, Outcome::lost, Failure::none,
                              leader.checkpoint, "it was killed"}] { deliver(event); });
}

void World::violation(const std::string& text) {
  if (report_.violations.size() < 20)
    report_.violations.push_back("at " + std::to_string(now_) + " ms: " + text);
}

void World::check_alone(const Leader& leader) {
  if (!leader.works(now_)) return;
  for (const Leader& other : leaders_)
    if (&other != &leader && other.id == leader.id && other.works(now_))
      violation(leader.name + " and " + other.name + " run together");
}

// Of two records of a job, stored one after the other.
void World::check_history(const Job& before, const Job& after) {
  const std::string& id = after.spec.id;
  if (is_final(before.state)) violation(id + " was final and changed");
  if (after.epoch < before.epoch) violation(id + " went back to an earlier epoch");
  if (after.steps_done < before.steps_done) violation(id + " forgot steps");
  if (after.steps_done > after.spec.steps) violation(id + " counted more steps than it has");
  if (after.epoch != before.epoch && after.first_step != before.steps_done)
    violation(id + " counts steps twice, or not at all");
  if (!before.leader.empty() && !after.leader.empty() && before.epoch == after.epoch &&
      before.leader != after.leader)
    violation(id + " has two leaders in one epoch");
  for (std::int64_t step = before.steps_done + 1; step <= after.steps_done; ++step)
    if (!executed_[id].contains(step)) violation(id + " counts a step that nobody ran");
  if (after.state == State::recovering && before.state != State::recovering) ++report_.losses;
}

void World::check_ends() {
  for (const Client& client : clients_) {
    const auto job = disk_.find(client.spec.id);
    if (!client.acknowledged) violation(client.spec.id + " was never acknowledged");
    if (job == disk_.end()) {
      violation(client.spec.id + " was acknowledged and lost");
      continue;
    }
    if (!is_final(job->second.state))
      violation(client.spec.id + " hangs as " + std::string(to_string(job->second.state)));
    if (job->second.state == State::done && job->second.steps_done != client.spec.steps)
      violation(client.spec.id + " is done without all its steps");
    if (job->second.state == State::cancelled && !client.cancels)
      violation(client.spec.id + " was cancelled by nobody");
    ++report_.ends[job->second.state];
  }
  if (disk_.size() != clients_.size()) violation("there are jobs that nobody submitted");
  for (const Leader& leader : leaders_)
    if (leader.works(now_)) violation(leader.name + " works on after all has ended");
  if (!control_ || control_->jobs() != disk_) violation("memory and disk differ");
  if (control_ && metrics_of(control_->jobs()) != metrics_of(disk_))
    violation("metrics do not agree with what is stored");
}

}  // namespace railwright::test
