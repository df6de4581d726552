// Control: decides what happens to jobs. Sockets, processes, clocks and disks are elsewhere: events
// come in with the time, actions go out, and the same class runs under a simulated network.
//
//   for (const Action& action : control.start(now)) perform(action);       // once, after a restart
//   for (const Action& action : control.on(event, now)) perform(action);   // a Tick twice a second
//
// Persist before act. An action that others can see is handed out only when all records before it
// are on disk (Persist goes out, Persisted comes back). So whatever was acknowledged survives a
// crash, and so does the epoch of whatever was launched.
//
// One run at a time. Each launch has an epoch. Its leader, the process that starts the workers, may
// run them only while it holds a lease: it asks with Alive, which says when it asked by its own
// clock, and a Grant lets it run until that time plus the lease. The first leader of an epoch that
// asks is the only one that is ever granted; all others are dismissed. Control counts the lease
// from when it answered, which is later, so no clocks need to agree. It launches anew only when the
// leader said that it has ended, or when its lease cannot last any more; after a restart it counts
// as if it had granted just then, and a leader that asks in that time is adopted.
#pragma once

#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/control/job.hpp"

namespace railwright::coordinator::control {

struct Settings {
  int nodes = 1;                            // of the cluster
  std::int64_t lease_ms = 60'000;           // as leaders count it
  std::int64_t lease_margin_ms = 2'000;     // added here: clocks may run at different rates
  std::int64_t start_patience_ms = 30'000;  // for the first word of a leader
  std::int64_t back_off_ms = 1'000;         // after the first loss, doubled with each, 60 s at most
  std::int64_t suspicion_ms = 3'600'000;    // a node that loses two workers within is down
  std::size_t most_jobs = 100'000;          // that are not final
};

// ---- What happens
struct Submit {
  std::uint64_t tag = 0;  // comes back in the Reply
  JobSpec spec;
};
struct Cancel {
  std::uint64_t tag = 0;
  std::string id;
};
struct Persisted {
  std::uint64_t sequence = 0;  // this record and all before it are on disk
};
struct Planned {
  std::string id;
  int epoch = 0;
  Failure failure = Failure::none;
  std::string reason;  // of a failure; else what the plan changes of what was submitted
  NodeRange nodes;     // others than were given; empty: these
};
struct Displace {  // it had better run elsewhere: it is stopped, and planned again
  std::string id;
  int epoch = 0;
  std::string reason;
};
struct Alive {
  std::string id;
  int epoch = 0;
  std::string leader;
  std::int64_t asked_at = 0;    // by the leader's clock; comes back in the Grant
  std::int64_t steps_done = 0;  // from the job's first step, up to the latest checkpoint
};
enum class Outcome : std::uint8_t { completed, failed, lost, stopped };
struct Ended {
  std::string id;
  int epoch = 0;
  std::string leader;
  Outcome outcome = Outcome::completed;
  Failure failure = Failure::none;  // with failed
  std::int64_t steps_done = 0;
  std::string reason;
  int lost_rank = -1;  // with lost, where it is known: of the run
  int lost_node = -1;  // and its node
};
struct NodeDown {
  int node = 0;
  std::string reason;
};
struct NodeUp {
  int node = 0;
};
struct Tick {};
using Event = std::variant<Submit, Cancel, Persisted, Planned, Displace, Alive, Ended, NodeDown,
                           NodeUp, Tick>;

// ---- What is to be done
struct Persist {
  std::uint64_t sequence = 0;
  std::variant<Job, NodeState> record;
};
enum class Answer : std::uint8_t { accepted, already_there, conflict, unknown, refused };
struct Reply {
  std::uint64_t tag = 0;
  Answer answer = Answer::accepted;
  std::string reason;
};
struct Plan {
  std::string id;
  int epoch = 0;
  NodeRange nodes;
};
struct Launch {
  std::string id;
  int epoch = 0;
  NodeRange nodes;
  std::int64_t first_step = 0;
};
struct Grant {
  std::string id;
  int epoch = 0;
  std::string leader;
  std::int64_t asked_at = 0;
};
struct Dismiss {  // stop at once, and do not report any more
  std::string id;
  int epoch = 0;
  std::string leader;
};
struct Stop {  // whoever plans or runs this epoch, then report how it ended
  std::string id;
  int epoch = 0;
};
using Action = std::variant<Persist, Reply, Plan, Launch, Grant, Dismiss, Stop>;

// Counters over all jobs; a function of what is stored, so both always agree.
struct Metrics {
  std::map<State, std::int64_t> jobs;
  std::int64_t steps = 0, attempts = 0, losses = 0, lost_milliseconds = 0;
  bool operator==(const Metrics&) const = default;
};
Metrics metrics_of(const std::map<std::string, Job>& jobs);

// The free contiguous nodes for `wanted`, in the smallest gap that takes them (then the lowest).
// An empty range when there are none.
NodeRange best_gap(const std::vector<bool>& taken, int wanted);
// The low and the high end of every gap that takes them, in the order of best_gap.
std::vector<NodeRange> places_in_gaps(const std::vector<bool>& taken, int wanted);

class Control {
 public:
  // `jobs` and `nodes` as they were stored.
  Control(Settings settings, std::vector<Job> jobs, const std::vector<NodeState>& nodes);

  std::vector<Action> start(Moment now);
  std::vector<Action> on(const Event& event, Moment now);

  const std::map<std::string, Job>& jobs() const { return jobs_; }
  const std::map<int, NodeState>& down_nodes() const { return down_; }
  // Up, but the next worker that they lose before long takes them out of use.
  std::vector<NodeState> suspected_nodes() const;
  const Settings& settings() const { return settings_; }
  // Nodes that a job holds, and others that it could have in their place, `most` in all.
  std::vector<NodeRange> candidates_for(const std::string& id, std::size_t most) const;
  bool may_move(const std::string& id, NodeRange nodes) const;  // it holds them, or they are free

 private:
  struct Watch {            // what is known of a leader, not stored
    Moment heard;           // its latest word
    Moment lease_until;     // running: it may run so long if nothing is heard of it
    Moment deadline;        // starting: of the first word; recovering: when it may be planned again
    std::string displaced;  // running: why it is stopped, to run elsewhere
  };
  void handle(const Submit& event);
  void handle(const Cancel& event);
  void handle(const Persisted& event);
  void handle(const Planned& event);
  void handle(const Displace& event);
  void handle(const Alive& event);
  void handle(const Ended& event);
  void handle(const NodeDown& event);
  void handle(const NodeUp& event);
  void handle(const Tick& event);

  std::string why_refused(const JobSpec& spec) const;
  void watch_over(Job& job);
  void schedule();
  bool give_nodes(Job& job);
  int least_nodes(const Job& job) const;
  void note_waiting(Job& job);
  void wait_for_more(Job& job, const std::string& reason);
  int nodes_within_reach(int without = -1) const;
  std::vector<bool> taken_nodes(const std::string& but_by = {}) const;
  void suspect(Job& job, int node, const std::string& how);
  bool is_recent(const NodeState& loss) const;
  bool can_spare(int node) const;
  bool must_stop(const Job& job) const;
  void lose(Job& job, const std::string& reason);
  void finish(Job& job, State state, Failure failure, const std::string& reason);
  void enter(Job& job, State state);
  void bind(Job& job, const Alive& event);
  bool count_steps(Job& job, std::int64_t steps);
  void save(Job& job);
  void save(const NodeState& node);
  void act(Action action);  // after all records so far
  Job* current(const std::string& id, int epoch);
  void dismiss(const std::string& id, int epoch, const std::string& leader);

  Settings settings_;
  std::map<std::string, Job> jobs_;
  std::map<std::int64_t, std::string> live_;  // not final, in the order of submission
  std::map<std::string, Watch> watches_;
  std::map<int, NodeState> down_, suspected_;
  std::int64_t next_number_ = 1;
  Moment now_;
  std::uint64_t saved_ = 0, persisted_ = 0;  // sequence numbers of records
  std::multimap<std::uint64_t, Action> held_;
  std::vector<Action> out_;
};

}  // namespace railwright::coordinator::control
