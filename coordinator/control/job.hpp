// What the control plane remembers of a job: plain values, as they are stored.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace railwright::coordinator::control {

// Milliseconds since 1970. Picoseconds, the clock of a step, would not last for a year.
struct Moment {
  std::int64_t milliseconds = 0;
  auto operator<=>(const Moment&) const = default;
};
constexpr Moment operator+(Moment when, std::int64_t milliseconds) {
  return {when.milliseconds + milliseconds};
}
constexpr std::int64_t operator-(Moment a, Moment b) { return a.milliseconds - b.milliseconds; }

// queued -> planning -> starting -> running -> done, and from running by way of recovering back to
// planning. failed and cancelled can be reached from all that are not final.
enum class State : std::uint8_t {
  queued,
  planning,
  starting,  // launched; no leader has reported, so no step can have begun
  running,   // a leader holds the lease, or may hold it
  recovering,
  done,
  failed,
  cancelled,
};
inline constexpr State every_state[] = {State::queued,  State::planning,   State::starting,
                                        State::running, State::recovering, State::done,
                                        State::failed,  State::cancelled};
std::string_view to_string(State state);
State state_of(std::string_view name);  // of a name that to_string gave
constexpr bool is_final(State state) {
  return state == State::done || state == State::failed || state == State::cancelled;
}

// Why a job failed, in the classes of the exit statuses.
enum class Failure : std::uint8_t { none, run, invalid, infeasible, lost };
std::string_view to_string(Failure failure);
Failure failure_of(std::string_view name);

// Nodes first .. first + count - 1: gangs are contiguous, so that they share as few switches as
// possible.
struct NodeRange {
  int first = 0, count = 0;
  bool operator==(const NodeRange&) const = default;
};

struct JobSpec {
  std::string id;       // chosen by the client: a repeated submit is the same job
  std::string owner;    // who submitted
  std::string request;  // what to train, opaque here
  int nodes = 1;        // wanted
  int least_nodes = 1;  // with which it goes on when no more than these are left
  std::int64_t steps = 1;
  int retries = 3;  // how often it may be lost before it fails
  bool operator==(const JobSpec&) const = default;
};

struct Job {
  JobSpec spec;
  std::int64_t number = 0;  // in the order of submission
  State state = State::queued;
  int epoch = 0;       // of the latest launch; 0: none yet
  std::string leader;  // the one process that may run this epoch; "" = nobody has reported
  NodeRange nodes;     // held while planning, starting and running
  std::int64_t first_step = 0, steps_done = 0;  // of this epoch; of all epochs
  int losses = 0;
  int needs_nodes = 0;      // fewer could not be planned for; it waits until so many are up
  int accused_node = -1;    // that it had taken out of use for its losses; -1: none
  bool may_accuse = true;   // until it is lost elsewhere too
  bool cancelling = false;  // cancelled by the user, but its leader may still run
  Failure failure = Failure::none;
  std::string reason;
  Moment submitted, changed, ended;
  Moment lost_since;                   // of the loss that is being recovered from; 0 = none
  std::int64_t lost_milliseconds = 0;  // from losses until steps went on
  bool operator==(const Job&) const = default;
};

struct NodeState {
  int node = 0;
  bool down = false;
  std::string reason;  // why it is down, or how it lost its latest worker
  Moment lost_worker;  // while it is suspected only; 0 = never
  bool operator==(const NodeState&) const = default;
};

}  // namespace railwright::coordinator::control
