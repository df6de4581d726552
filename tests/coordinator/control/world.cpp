#include "world.hpp"

#include <algorithm>
#include <utility>

namespace railwright::test {

using namespace control;

namespace {

constexpr std::int64_t troubled_ms = 600'000;    // then the faults stop
constexpr std::int64_t patience_ms = 3'000'000;  // in which all must come to an end
constexpr int ask_submit = 0, ask_cancel = 1, ask_other = 2;

}  // namespace

World::World(std::uint64_t seed, Mutation mutation) : random_(seed), mutation_(mutation) {
  settings_.nodes = 1 + static_cast<int>(below(8));
  loss_ = 0.3 * static_cast<double>(below(100)) / 100;
  doubling_ = 0.2 * static_cast<double>(below(100)) / 100;
  delay_ = chance(0.3) ? 4'000 : 50;
  clients_.resize(1 + below(6));
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    JobSpec& spec = clients_[i].spec;
    spec.id = "job" + std::to_string(i);
    spec.nodes = 1 + static_cast<int>(below(settings_.nodes));
    spec.least_nodes = 1 + static_cast<int>(below(spec.nodes));
    spec.steps = 1 + below(chance(0.5) ? 40 : 300);
    spec.retries = static_cast<int>(below(6));
    clients_[i].cancels = chance(0.2);
  }
}

void World::at(std::int64_t delay, std::function<void()> what) {
  queue_.push({now_ + delay, order_++, std::move(what)});
}

void World::run_until(std::int64_t when) {
  while (!queue_.empty() && queue_.top().when <= when) {
    const Happening next = queue_.top();
    queue_.pop();
    now_ = next.when;
    ++report_.events;
    next.what();
  }
  now_ = when;
}

std::int64_t World::below(std::int64_t bound) {
  return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(bound));
}

bool World::chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

// Delays are drawn for each message, so that later ones overtake.
void World::send(std::function<void()> arrive) {
  const bool cut = now_ < cut_until_;
  if (!calm_ && (cut || chance(loss_))) {
    ++report_.messages_lost;
    return;
  }
  if (!calm_ && chance(doubling_)) {
    ++report_.doubled;
    at(1 + below(10 * delay_), arrive);
  }
  at(1 + below(delay_), std::move(arrive));
}

void World::boot() {
  std::vector<Job> jobs;
  for (const auto& [id, job] : disk_) jobs.push_back(job);
  std::vector<NodeState> nodes;
  for (const auto& [node, state] : disk_nodes_) nodes.push_back(state);
  control_.emplace(settings_, std::move(jobs), nodes);
  ++life_;
  perform(control_->start({now_}));
  tick(life_);
}

// Some of the writes under way reach the disk, in order; the one after them is torn.
void World::crash() {
  if (!control_) return;
  ++report_.crashes;
  control_.reset();
  const std::size_t kept = writing_.empty() ? 0 : below(writing_.size() + 1);
  report_.torn += kept < writing_.size();
  if (!mutation_.lying_disk)
    for (std::size_t i = 0; i < kept; ++i) store(writing_[i]);
  writing_.clear();
  disk_free_ = now_;
  at(100 + below(chance(0.2) ? 100'000 : 5'000), [this] { boot(); });
}

void World::tick(int life) {
  if (life != life_ || !control_) return;
  deliver(Tick{});
  at(500, [this, life] { tick(life); });
}

void World::deliver(const Event& event) {
  if (control_) perform(control_->on(event, {now_}));
}

void World::perform(std::vector<Action> actions) {
  for (const Action& action : actions) std::visit([&](const auto& what) { perform(what); }, action);
}

void World::perform(const Persist& action) {
  writing_.push_back(action);
  disk_free_ = std::max(disk_free_, now_) + 1 + below(chance(0.05) ? 2'000 : 20);
  const int life = life_;
  if (mutation_.lying_disk)
    at(1, [this, life, action] {
      if (life == life_) deliver(Persisted{action.sequence});
    });
  at(disk_free_ - now_ + (mutation_.lying_disk ? 2'000 : 0), [this, life, action] {
    if (life != life_ || !control_) return;
    writing_.erase(writing_.begin());
    store(action);
    if (!mutation_.lying_disk) deliver(Persisted{action.sequence});
  });
}

void World::store(const Persist& record) {
  if (const auto* node = std::get_if<NodeState>(&record.record)) {
    disk_nodes_[node->node] = *node;
    return;
  }
  const Job& job = std::get<Job>(record.record);
  const auto [known, is_new] = disk_.emplace(job.spec.id, job);
  if (is_new) return;
  check_history(known->second, job);
  known->second = job;
}

void World::perform(const Reply& action) {
  send([this, action] {
    const auto [index, asked] = tags_.at(action.tag);
    Client& client = clients_[index];
    const bool heard = action.answer == Answer::accepted || action.answer == Answer::already_there;
    if (asked == ask_submit && !heard) violation("a submit was answered: " + action.reason);
    if (asked == ask_submit) client.acknowledged = true;
    if (asked == ask_cancel && heard) client.cancel_acknowledged = true;
    if (asked != ask_other) return;
    if (action.answer != Answer::conflict) violation("another job took the place of one");
    ++report_.conflicts;
  });
}

void World::perform(const Plan& action) {
  const int life = life_;
  const Failure failure = chance(0.03) ? Failure::infeasible : Failure::none;
  at(10 + below(3'000), [this, life, action, failure] {
    if (life == life_) deliver(Planned{action.id, action.epoch, failure, "nothing fits", {}});
  });
}

void World::perform(const Launch& action) {
  send([this, action] { launch(action); });
}

void World::perform(const Grant& action) {
  const int life = life_;
  for (std::size_t i = 0; i < leaders_.size(); ++i) {
    if (leaders_[i].name != action.leader) continue;
    send_to(i, [this, i, action, life](Leader& leader) {
      if (leader.dead || leader.ended) return;
      const double lease = mutation_.leader_lease * static_cast<double>(settings_.lease_ms);
      leader.lease_until =
          std::max(leader.lease_until, action.asked_at + static_cast<std::int64_t>(lease));
      if (leader.granted && leader.granted_by != life) ++report_.adopted;
      leader.granted_by = life;
      if (!std::exchange(leader.granted, true)) work(i);
      check_alone(leader);
    });
  }
}

void World::perform(const Dismiss& action) {
  for (std::size_t i = 0; i < leaders_.size(); ++i)
    if (leaders_[i].name == action.leader)
      send_to(i, [](Leader& leader) { leader.ended = leader.dismissed = true; });
}

void World::perform(const Stop& action) {
  for (std::size_t i = 0; i < leaders_.size(); ++i)
    if (leaders_[i].id == action.id && leaders_[i].epoch == action.epoch)
      send_to(i, [this, i](Leader&) { end(i, Outcome::stopped); });
}

Report simulate(std::uint64_t seed, Mutation mutation) { return World(seed, mutation).run(); }

void World::ask(std::size_t index) {
  Client& client = clients_[index];
  if (client.acknowledged) return;
  tags_[next_tag_] = {index, ask_submit};
  send([this, event = Submit{next_tag_, client.spec}] { deliver(event); });
  ++next_tag_;
  at(3'000, [this, index] { ask(index); });
}

void World::ask_to_cancel(std::size_t index) {
  Client& client = clients_[index];
  if (client.cancel_acknowledged) return;
  tags_[next_tag_] = {index, ask_cancel};
  send([this, event = Cancel{next_tag_, client.spec.id}] { deliver(event); });
  ++next_tag_;
  at(3'000, [this, index] { ask_to_cancel(index); });
}

// One fault or none, every two seconds on average.
void World::trouble() {
  if (now_ >= 1'000'000 + troubled_ms) return;
  at(below(4'000), [this] { trouble(); });
  if (chance(0.05)) crash();
  if (now_ >= cut_until_ && chance(0.03)) cut_until_ = now_ + below(chance(0.4) ? 200'000 : 8'000);
  if (chance(0.05) && !leaders_.empty()) kill(below(leaders_.size()));
  if (chance(0.1) && !leaders_.empty())
    leaders_[below(leaders_.size())].cut_until = now_ + below(300'000);
  const int node = static_cast<int>(below(settings_.nodes));
  if (chance(0.03)) {
    for (std::size_t i = 0; i < leaders_.size(); ++i)
      if (node >= leaders_[i].nodes.first &&
          node < leaders_[i].nodes.first + leaders_[i].nodes.count)
        kill(i);
    deliver(NodeDown{node, "tripped"});
  }
  if (chance(0.1)) deliver(NodeUp{node});
}

Report World::run() {
  boot();
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    at(below(60'000), [this, i] { ask(i); });
    if (clients_[i].cancels) at(60'000 + below(200'000), [this, i] { ask_to_cancel(i); });
    at(70'000 + below(200'000), [this, i] {
      if (!clients_[i].acknowledged || !control_) return;
      JobSpec other = clients_[i].spec;
      other.steps += 1;
      tags_[next_tag_] = {i, ask_other};
      deliver(Submit{next_tag_++, other});
    });
  }
  trouble();
  run_until(1'000'000 + troubled_ms);
  calm_ = true;
  cut_until_ = 0;
  for (std::int64_t left = patience_ms; left > 0; left -= 10'000) {
    run_until(now_ + 10'000);
    for (int node = 0; node < settings_.nodes; ++node) deliver(NodeUp{node});
    const bool over = std::all_of(clients_.begin(), clients_.end(), [&](const Client& client) {
      const auto job = disk_.find(client.spec.id);
      return client.acknowledged && job != disk_.end() && is_final(job->second.state) &&
             (!client.cancels || client.cancel_acknowledged);
    });
    if (over) break;
  }
  run_until(now_ + 200'000);
  check_ends();
  return report_;
}

}  // namespace railwright::test
