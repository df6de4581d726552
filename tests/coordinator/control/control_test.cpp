#include "coordinator/control/control.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace railwright::coordinator::control;

namespace {

JobSpec spec_of(const std::string& id, int nodes = 1) {
  JobSpec spec;
  spec.id = id;
  spec.nodes = nodes;
  spec.steps = 10;
  return spec;
}

template <class Wanted>
std::vector<Wanted> only(const std::vector<Action>& actions) {
  std::vector<Wanted> found;
  for (const Action& action : actions)
    if (const auto* wanted = std::get_if<Wanted>(&action)) found.push_back(*wanted);
  return found;
}

// A control whose disk answers at once.
class Desk {
 public:
  explicit Desk(int nodes) : control_(settings(nodes), {}, {}) {}
  // Control is gone, and another one begins with what was stored.
  void restart() {
    std::vector<Job> jobs;
    for (const auto& [id, job] : jobs_) jobs.push_back(job);
    std::vector<NodeState> nodes;
    for (const auto& [node, state] : nodes_) nodes.push_back(state);
    control_ = Control(control_.settings(), std::move(jobs), nodes);
    control_.start(now_);
  }
  std::vector<Action> on(const Event& event) {
    std::vector<Action> all = control_.on(event, now_);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto* persist = std::get_if<Persist>(&all[i]);
      if (persist == nullptr) continue;
      store(persist->record);
      const auto more = control_.on(Persisted{persist->sequence}, now_);
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }
  void wait(std::int64_t milliseconds) { now_ = now_ + milliseconds; }
  const Job& job(const std::string& id) const { return control_.jobs().at(id); }
  const std::map<int, NodeState>& down_nodes() const { return control_.down_nodes(); }
  std::vector<NodeState> suspected_nodes() const { return control_.suspected_nodes(); }
  // Up to the first word of its leader.
  void run(const std::string& id) {
    on(Planned{id, job(id).epoch, {}, {}, {}});
    on(Alive{id, job(id).epoch, "leader", 0, 0});
    REQUIRE(job(id).state == State::running);
  }

 private:
  static Settings settings(int nodes) {
    Settings settings;
    settings.nodes = nodes;
    return settings;
  }
  void store(const std::variant<Job, NodeState>& record) {
    if (const auto* job = std::get_if<Job>(&record)) jobs_[job->spec.id] = *job;
    if (const auto* node = std::get_if<NodeState>(&record)) nodes_[node->node] = *node;
  }
  std::map<std::string, Job> jobs_;
  std::map<int, NodeState> nodes_;
  Control control_;
  Moment now_{1'000'000};
};

}  // namespace

TEST_CASE("nothing is acknowledged or launched before it is stored") {
  Settings settings;
  Control control(settings, {}, {});
  const auto first = control.on(Submit{7, spec_of("a")}, {1});
  CHECK(only<Persist>(first).size() == 2);  // submitted, then planning
  CHECK(only<Reply>(first).empty());
  CHECK(only<Plan>(first).empty());
  const auto second = control.on(Persisted{1}, {2});
  REQUIRE(only<Reply>(second).size() == 1);
  CHECK(only<Reply>(second)[0].tag == 7);
  CHECK(only<Plan>(second).empty());
  CHECK(only<Plan>(control.on(Persisted{2}, {3})).size() == 1);
}

TEST_CASE("a repeated submit is the same job, another one with its id a conflict") {
  Desk desk(1);
  CHECK(only<Reply>(desk.on(Submit{1, spec_of("a")}))[0].answer == Answer::accepted);
  CHECK(only<Reply>(desk.on(Submit{2, spec_of("a")}))[0].answer == Answer::already_there);
  JobSpec other = spec_of("a");
  other.steps = 11;
  CHECK(only<Reply>(desk.on(Submit{3, other}))[0].answer == Answer::conflict);
  CHECK(only<Reply>(desk.on(Submit{4, spec_of("b", 2)}))[0].answer == Answer::refused);
  CHECK(only<Reply>(desk.on(Cancel{5, "c"}))[0].answer == Answer::unknown);
}

TEST_CASE("jobs get nodes in the order in which they came, and nobody overtakes") {
  Desk desk(4);
  desk.on(Submit{1, spec_of("a", 3)});
  desk.on(Submit{2, spec_of("b", 2)});
  desk.on(Submit{3, spec_of("c", 1)});
  CHECK(desk.job("a").nodes == NodeRange{0, 3});
  CHECK(desk.job("b").state == State::queued);
  CHECK(desk.job("c").state == State::queued);
  desk.on(Cancel{4, "a"});
  CHECK(desk.job("b").nodes == NodeRange{0, 2});
  CHECK(desk.job("c").nodes == NodeRange{2, 1});
}

TEST_CASE("a gang takes the smallest gap that holds it, and never a node twice") {
  for (unsigned pattern = 0; pattern < 4096; ++pattern)
    for (int wanted = 1; wanted <= 12; ++wanted) {
      std::vector<bool> taken(12);
      for (int node = 0; node < 12; ++node) taken[node] = pattern >> node & 1;
      const NodeRange gap = best_gap(taken, wanted);
      int longest = 0, length = 0;
      for (const bool used : taken) longest = std::max(longest, length = used ? 0 : length + 1);
      REQUIRE((gap.count == 0) == (longest < wanted));
      for (int node = gap.first; node < gap.first + gap.count; ++node) REQUIRE(!taken[node]);
    }
}

TEST_CASE("only the first leader of an epoch is granted anything") {
  Desk desk(1);
  desk.on(Submit{1, spec_of("a")});
  desk.on(Planned{"a", 1, {}, {}, {}});
  const auto first = desk.on(Alive{"a", 1, "x", 5, 0});
  REQUIRE(only<Grant>(first).size() == 1);
  CHECK(only<Grant>(first)[0].asked_at == 5);
  const auto other = desk.on(Alive{"a", 1, "y", 6, 0});
  CHECK(only<Grant>(other).empty());
  REQUIRE(only<Dismiss>(other).size() == 1);
  CHECK(only<Dismiss>(other)[0].leader == "y");
  CHECK(only<Dismiss>(desk.on(Alive{"a", 0, "x", 7, 0})).size() == 1);
}

TEST_CASE("what cannot be planned on the nodes that are left waits for more, and says so") {
  Desk desk(4);
  JobSpec spec = spec_of("a", 4);
  spec.least_nodes = 2;
  desk.on(Submit{1, spec});
  desk.run("a");
  desk.on(NodeDown{3, "gone"});
  desk.on(Ended{"a", 1, "leader", Outcome::lost, {}, 4, "a worker was lost"});
  desk.wait(1'000);
  desk.on(Tick{});
  CHECK(desk.job("a").nodes == NodeRange{0, 3});
  desk.on(Planned{"a", 2, Failure::infeasible, "3 do not divide 8", {}});
  CHECK(desk.job("a").state == State::recovering);
  CHECK(desk.job("a").reason == "waits for repairs: 3 nodes in a row are up, 4 are needed");
  desk.on(NodeUp{3});
  CHECK(desk.job("a").state == State::planning);
  CHECK(desk.job("a").nodes.count == 4);
  desk.on(Planned{"a", 3, Failure::infeasible, "nothing fits", {}});
  CHECK(desk.job("a").state == State::failed);
}

TEST_CASE("a silent leader keeps its nodes until its lease has ended, then the job goes on") {
  Desk desk(1);
  desk.on(Submit{1, spec_of("a")});
  desk.run("a");
  desk.on(Alive{"a", 1, "leader", 0, 4});
  desk.wait(62'000);
  desk.on(Tick{});
  CHECK(desk.job("a").state == State::running);
  desk.wait(1);
  desk.on(Tick{});
  CHECK(desk.job("a").state == State::recovering);
  desk.wait(1'000);
  desk.on(Tick{});
  CHECK(desk.job("a").state == State::planning);
  CHECK(desk.job("a").epoch == 2);
  CHECK(desk.job("a").first_step == 4);
  desk.wait(1'000);
  desk.run("a");
  CHECK(desk.job("a").lost_milliseconds == 64'001);  // since its last word
}

TEST_CASE("a job that is lost more often than it may be fails, and says why") {
  Desk desk(1);
  JobSpec spec = spec_of("a");
  spec.retries = 2;
  desk.on(Submit{1, spec});
  for (int loss = 1; loss <= 3; ++loss) {
    desk.run("a");
    desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "rank 3 on node0 lost"});
    desk.wait(60'000);
    desk.on(Tick{});
  }
  CHECK(desk.job("a").state == State::failed);
  CHECK(desk.job("a").failure == Failure::lost);
  CHECK(desk.job("a").reason == "lost 3 times, the last time: rank 3 on node0 lost");
}

TEST_CASE("a job is moved away only where it may be lost once more") {
  for (const int retries : {0, 1}) {
    Desk desk(1);
    JobSpec spec = spec_of("a");
    spec.retries = retries;
    desk.on(Submit{1, spec});
    desk.run("a");
    const auto stops = only<Stop>(desk.on(Displace{"a", 1, "moves away from a slow link"}));
    CHECK(stops.size() == static_cast<std::size_t>(retries));
    CHECK(desk.job("a").state == State::running);
  }
}

TEST_CASE("with nodes gone a job goes on with fewer, and waits for as many as it needs") {
  Desk desk(4);
  JobSpec spec = spec_of("a", 4);
  spec.least_nodes = 2;
  desk.on(Submit{1, spec});
  desk.run("a");
  CHECK(only<Stop>(desk.on(NodeDown{1, "dead"})).size() == 1);
  CHECK(only<Grant>(desk.on(Alive{"a", 1, "leader", 0, 3})).empty());
  desk.on(Ended{"a", 1, "leader", Outcome::stopped, {}, 3, "stopped"});
  desk.wait(1'000);
  desk.on(Tick{});
  CHECK(desk.job("a").nodes == NodeRange{2, 2});
  desk.on(NodeDown{2, "dead too"});
  desk.wait(10'000);
  desk.on(Submit{2, spec_of("small")});
  CHECK(desk.job("a").state == State::recovering);
  CHECK(desk.job("small").state == State::planning);  // it waits for repairs, others need not
  desk.on(NodeUp{1});
  desk.on(NodeUp{2});
  CHECK(desk.job("a").state == State::recovering);  // all are up again, and one is taken
  desk.on(Cancel{3, "small"});
  CHECK(desk.job("a").nodes == NodeRange{0, 4});
}

TEST_CASE("a node that loses two workers soon after each other is taken out, if it can be spared") {
  const bool restarted = GENERATE(false, true);  // between the losses: what is known is stored
  for (const int least : {1, 3})
    for (const std::int64_t between : {60'000, 4'000'000}) {
      Desk desk(3);
      JobSpec spec = spec_of("a", 3);
      spec.least_nodes = least;
      desk.on(Submit{1, spec});
      for (int loss = 1; loss <= 2; ++loss) {
        desk.run("a");
        CHECK(desk.down_nodes().empty());
        desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "killed", 2, 2});
        if (loss == 1) {
          REQUIRE(desk.suspected_nodes().size() == 1);
          CHECK(desk.suspected_nodes()[0].reason == "lost a worker of job a: killed");
        }
        if (restarted) desk.restart();
        desk.wait(between);
        desk.on(Tick{});
      }
      const bool taken_out = least == 1 && between < 3'600'000;
      CHECK(desk.down_nodes().size() == (taken_out ? 1 : 0));
      CHECK(desk.down_nodes().count(2) == desk.down_nodes().size());
      for (const auto& [node, state] : desk.down_nodes())
        CHECK(state.reason == "it lost two workers within 60 minutes, the last of job a: killed");
      CHECK(desk.job("a").nodes == NodeRange{0, taken_out ? 2 : 3});
    }
}

TEST_CASE("a job that is lost elsewhere too is at fault itself, and its node is taken back") {
  const bool restarted = GENERATE(false, true);
  Desk desk(3);
  JobSpec spec = spec_of("a");
  spec.retries = 9;
  desk.on(Submit{1, spec});
  for (int loss = 1; loss <= 8; ++loss) {
    desk.run("a");
    const int node = desk.job("a").nodes.first;
    desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "lost", 0, node});
    CHECK(desk.down_nodes().size() == (loss == 2 ? 1 : 0));
    if (restarted) desk.restart();
    desk.wait(60'000);
    desk.on(Tick{});
  }
}

TEST_CASE("an accused node that was put back by hand is accused again when it fails again") {
  Desk desk(3);
  JobSpec spec = spec_of("a");
  spec.retries = 9;
  desk.on(Submit{1, spec});
  const auto lose_on = [&](int loss) {
    desk.run("a");
    const int node = desk.job("a").nodes.first;
    desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "lost", 0, node});
    return node;
  };
  const auto wait = [&] {
    desk.wait(60'000);
    desk.on(Tick{});
  };
  const int bad = lose_on(1);
  wait();
  CHECK(lose_on(2) == bad);
  REQUIRE(desk.down_nodes().count(bad) == 1);
  desk.on(NodeUp{bad});
  CHECK(desk.job("a").accused_node == -1);
  wait();
  for (int loss = 3; loss <= 4; ++loss) {
    CHECK(desk.down_nodes().empty());
    CHECK(lose_on(loss) == bad);
    if (loss == 3) wait();
  }
  CHECK(desk.down_nodes().count(bad) == 1);
  // Put back and taken out by hand: the job's next loss is none of its business.
  desk.on(NodeUp{bad});
  desk.on(NodeDown{bad, "repairs"});
  wait();
  CHECK(lose_on(5) != bad);
  CHECK(desk.down_nodes().count(bad) == 1);
}

TEST_CASE("a job whose last loss is elsewhere gives its node back, and stays as it ended") {
  Desk desk(3);
  JobSpec spec = spec_of("a");
  spec.retries = 2;
  desk.on(Submit{1, spec});
  std::vector<Action> last;
  for (int loss = 1; loss <= 3; ++loss) {
    desk.run("a");
    const int node = desk.job("a").nodes.first;
    last = desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "lost", 0, node});
    CHECK(desk.down_nodes().size() == (loss == 2 ? 1 : 0));
    desk.wait(60'000);
    desk.on(Tick{});
  }
  CHECK(desk.job("a").state == State::failed);
  int records = 0;
  for (const Persist& persist : only<Persist>(last))
    records += std::holds_alternative<Job>(persist.record);
  CHECK(records == 1);
}

TEST_CASE("a job that fails with its second loss accuses nobody") {
  Desk desk(3);
  JobSpec spec = spec_of("a");
  spec.retries = 1;
  desk.on(Submit{1, spec});
  for (int loss = 1; loss <= 2; ++loss) {
    desk.run("a");
    desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "lost", 0, 0});
    desk.wait(60'000);
    desk.on(Tick{});
  }
  CHECK(desk.job("a").state == State::failed);
  CHECK(desk.down_nodes().empty());
}

TEST_CASE("losses on nodes that are not the job's accuse nobody") {
  Desk desk(3);
  desk.on(Submit{1, spec_of("a")});
  for (int loss = 1; loss <= 3; ++loss) {
    desk.run("a");
    desk.on(Ended{"a", loss, "leader", Outcome::lost, {}, 0, "lost", 0, loss == 2 ? -1 : 2});
    desk.wait(60'000);
    desk.on(Tick{});
  }
  CHECK(desk.down_nodes().empty());
}

TEST_CASE("steps are counted once, however often they are reported") {
  Desk desk(1);
  desk.on(Submit{1, spec_of("a")});
  desk.run("a");
  for (const int steps : {3, 3, 1, 5, 4, 99}) desk.on(Alive{"a", 1, "leader", 0, steps});
  CHECK(desk.job("a").steps_done == 10);
  desk.on(Ended{"a", 1, "leader", Outcome::completed, {}, 10, {}});
  desk.on(Ended{"a", 1, "leader", Outcome::completed, {}, 10, {}});
  CHECK(desk.job("a").state == State::done);
}
