// The memory of the coordinator: one SQLite file that one coordinator at a time holds.
//
//   Result<Store> store = Store::open("data/coordinator.db");
//   store->save(record);        // on disk when it returns: WAL, synchronous=FULL
//   store->jobs();              // as they were saved last
//
// What was saved survives `kill -9` and a loss of power at any instant; what was being saved then
// is there whole or not at all. Opening checks the file's integrity and brings older ones up to
// date.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/control/control.hpp"
#include "topology/result.hpp"

struct sqlite3;

namespace railwright::coordinator {

inline constexpr int store_version = 3;

struct JobEvent {
  std::string job;
  control::Moment at;
  int epoch = 0;
  control::State state = control::State::queued;
  std::string reason;
};

// One launch of a job: counts of its steps, and what of it was predicted and measured.
struct JobRun {
  std::string job;
  int epoch = 0;
  control::NodeRange nodes;
  std::int64_t first_step = 0, steps_done = 0;
  control::Moment started;
  std::string degrees;                     // of its plan
  double predicted_s = 0, measured_s = 0;  // of a step; 0: not known
  std::string outcome;  // completed, failed, lost, stopped; "": runs, or never told
};

// What a link of the cluster did in one run of a job: emulated, what of it was used; measured, the
// time of the collectives that it set the pace of beside what was expected of them.
struct LinkStatistic {
  std::string job;
  int epoch = 0;
  std::string link;
  double utilization = 0;
  double busy_s = 0;
  double measured_s = 0, expected_s = 0;
};

// A link that a run found slow: the share of its speed that is left.
struct SlowLink {
  std::string link, job;
  int epoch = 0;
  double factor = 1;
};

struct StepRecord {
  std::string job;
  int epoch = 0;
  std::int64_t step = 0;
  double step_time_s = 0;
};

bool is_full(const Errors& errors);  // the disk, when saving failed

class Store {
 public:
  // Refuses a file that another coordinator holds, one of a newer version, a damaged one, and
  // folders that cannot be written.
  static Result<Store> open(const std::string& path);

  // Writes the record, the event when the job's state changed, and the run, in one transaction.
  Result<void> save(const control::Persist& record);
  Result<void> save_plan(const std::string& job, int epoch, const std::string& plan);
  Result<void> save_steps(const std::vector<StepRecord>& steps,
                          const std::vector<LinkStatistic>& links);
  // The part of `run` that control does not know: from degrees on. The run must be there.
  Result<void> save_summary(const JobRun& run);

  // What a run has found, in place of what was known of the links that it judged.
  Result<void> save_slow_links(const std::vector<std::string>& judged,
                               const std::vector<SlowLink>& slow);

  std::map<std::string, double> slow_links() const;  // name -> share of its speed
  std::vector<control::Job> jobs() const;
  std::vector<control::NodeState> nodes() const;
  std::vector<JobEvent> events_of(const std::string& job) const;
  std::vector<JobRun> runs_of(const std::string& job) const;
  std::vector<StepRecord> steps_of(const std::string& job) const;
  std::optional<std::string> plan_of(const std::string& job, int epoch) const;
  std::optional<JobRun> run_of(const std::string& job, int epoch) const;
  std::vector<JobRun> latest_runs(int most) const;  // of all jobs, the newest first
  // Of a link over the runs that used it, the latest in the order of the runs; "": of every link.
  std::vector<LinkStatistic> course_of(const std::string& link, int most) const;

 private:
  struct Closer {
    void operator()(sqlite3* file) const;
  };
  using File = std::unique_ptr<sqlite3, Closer>;
  Store(std::string path, File file);
  Result<void> prepare();
  Result<void> bring_up_to_date();
  Result<void> check();

  std::string path_;
  File file_;
};

}  // namespace railwright::coordinator
