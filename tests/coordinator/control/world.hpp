// Control, its disk, clients, launchers and leaders in one process, on one simulated clock. All
// that goes wrong is drawn from the seed: messages are delayed, lost, doubled, overtaken, cut off;
// the coordinator crashes with writes half done and comes back; leaders and nodes die; clocks of
// leaders run at their own rates. Checkers watch all the while.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/control/control.hpp"

namespace railwright::test {

namespace control = coordinator::control;

// What must not be true of a world that is sound; each is found by a checker.
struct Mutation {
  double leader_lease = 1;  // leaders hold on for so many leases
  bool lying_disk = false;  // says that a record is stored before it is
};

struct Report {
  std::vector<std::string> violations;
  std::int64_t events = 0, crashes = 0, torn = 0, adopted = 0, expired = 0, losses = 0;
  std::int64_t messages_lost = 0, doubled = 0, conflicts = 0;
  std::map<control::State, int> ends;
};

Report simulate(std::uint64_t seed, Mutation mutation = {});

struct Leader {
  std::string id, name;
  int epoch = 0;
  control::NodeRange nodes;
  std::int64_t step = 0, checkpoint = 0;  // executed, stored
  double rate = 1;                        // of its clock
  std::int64_t offset = 0;
  std::int64_t lease_until = 0;  // by its clock
  std::int64_t cut_until = 0;    // nothing comes or goes
  int granted_by = -1;           // which life of the coordinator
  bool granted = false, dead = false, ended = false, dismissed = false;
  control::Outcome outcome = control::Outcome::stopped;
  std::int64_t local(std::int64_t now) const {
    return offset + static_cast<std::int64_t>(rate * static_cast<double>(now));
  }
  bool works(std::int64_t now) const {
    return granted && !dead && !ended && local(now) < lease_until;
  }
};

struct Client {
  control::JobSpec spec;
  bool acknowledged = false, gives_up = false;
  bool cancels = false, cancel_acknowledged = false;
};

class World {
 public:
  World(std::uint64_t seed, Mutation mutation);
  Report run();

 private:
  // Time and chance.
  void at(std::int64_t delay, std::function<void()> what);
  void run_until(std::int64_t when);
  std::int64_t below(std::int64_t bound);
  bool chance(double probability);
  void send(std::function<void()> arrive);  // over the network

  // The coordinator and its disk.
  void boot();
  void crash();
  void tick(int life);
  void deliver(const control::Event& event);
  void perform(std::vector<control::Action> actions);
  void perform(const control::Persist& action);
  void perform(const control::Reply& action);
  void perform(const control::Plan& action);
  void perform(const control::Launch& action);
  void perform(const control::Grant& action);
  void perform(const control::Dismiss& action);
  void perform(const control::Stop& action);
  void store(const control::Persist& record);

  // Those who talk to it.
  void ask(std::size_t client);
  void ask_to_cancel(std::size_t client);
  void send_to(std::size_t leader, std::function<void(Leader&)> arrive);
  void launch(const control::Launch& launch);
  void heart_beat(std::size_t leader);
  void work(std::size_t leader);
  void end(std::size_t leader, control::Outcome outcome);
  void kill(std::size_t leader);
  void trouble();

  // Checkers.
  void violation(const std::string& text);
  void check_alone(const Leader& leader);
  void check_history(const control::Job& before, const control::Job& after);
  void check_ends();

  struct Happening {
    std::int64_t when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Happening& other) const {
      return std::tie(when, order) > std::tie(other.when, other.order);
    }
  };
  std::mt19937_64 random_;
  Mutation mutation_;
  std::int64_t now_ = 1'000'000;
  std::uint64_t order_ = 0;
  std::priority_queue<Happening> queue_;
  bool calm_ = false;
  double loss_, doubling_;
  std::int64_t delay_;
  std::int64_t cut_until_ = 0;

  control::Settings settings_;
  std::optional<control::Control> control_;
  int life_ = 0;
  std::vector<control::Persist> writing_;
  std::int64_t disk_free_ = 0;
  std::map<std::string, control::Job> disk_;
  std::map<int, control::NodeState> disk_nodes_;

  std::vector<Client> clients_;
  std::map<std::uint64_t, std::pair<std::size_t, int>> tags_;  // client, and what was asked
  std::uint64_t next_tag_ = 1;
  std::vector<Leader> leaders_;
  std::set<std::pair<std::string, int>> launched_;
  std::map<std::string, std::set<std::int64_t>> executed_;
  Report report_;
};

}  // namespace railwright::test
