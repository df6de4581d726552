// What is kept beside the jobs themselves: events, runs, plans, steps, links.
#include <algorithm>

#include "coordinator/store/statement.hpp"
#include "coordinator/store/store.hpp"

namespace railwright::coordinator {

using namespace control;

Result<void> Store::save_plan(const std::string& job, int epoch, const std::string& plan) {
  const bool written = Statement(file_.get(), "INSERT OR REPLACE INTO plans VALUES (?,?,?)")
                           .with(job)
                           .with(std::int64_t{epoch})
                           .with(plan)
                           .run();
  if (!written) return tl::unexpected(Errors{store_error(file_.get(), path_)});
  return {};
}

Result<void> Store::save_steps(const std::vector<StepRecord>& steps,
                               const std::vector<LinkStatistic>& links) {
  sqlite3* file = file_.get();
  bool written = execute(file, "BEGIN IMMEDIATE");
  for (const StepRecord& step : steps)
    written = written && Statement(file, "INSERT OR REPLACE INTO steps VALUES (?,?,?,?)")
                             .with(step.job)
                             .with(std::int64_t{step.epoch})
                             .with(step.step)
                             .with(step.step_time_s)
                             .run();
  for (const LinkStatistic& link : links)
    written =
        written && Statement(file, "INSERT OR REPLACE INTO link_statistics VALUES (?,?,?,?,?,?,?)")
                       .with(link.job)
                       .with(std::int64_t{link.epoch})
                       .with(link.link)
                       .with(link.utilization)
                       .with(link.busy_s)
                       .with(link.measured_s)
                       .with(link.expected_s)
                       .run();
  if (written && execute(file, "COMMIT")) return {};
  const ConfigError error = store_error(file, path_);
  execute(file, "ROLLBACK");
  return tl::unexpected(Errors{error});
}

Result<void> Store::save_slow_links(const std::vector<std::string>& judged,
                                    const std::vector<SlowLink>& slow) {
  sqlite3* file = file_.get();
  bool written = execute(file, "BEGIN IMMEDIATE");
  for (const std::string& link : judged)
    written = written && Statement(file, "DELETE FROM slow_links WHERE link = ?").with(link).run();
  for (const SlowLink& link : slow)
    written = written && Statement(file, "INSERT OR REPLACE INTO slow_links VALUES (?,?,?,?)")
                             .with(link.link)
                             .with(link.job)
                             .with(std::int64_t{link.epoch})
                             .with(link.factor)
                             .run();
  if (written && execute(file, "COMMIT")) return {};
  const ConfigError error = store_error(file, path_);
  execute(file, "ROLLBACK");
  return tl::unexpected(Errors{error});
}

std::map<std::string, double> Store::slow_links() const {
  std::map<std::string, double> slow;
  Statement row(file_.get(), "SELECT link, factor FROM slow_links");
  while (row.next()) {
    const std::string link = row.text();
    slow[link] = row.real();
  }
  return slow;
}

std::vector<JobEvent> Store::events_of(const std::string& job) const {
  std::vector<JobEvent> events;
  Statement row(file_.get(),
                "SELECT at_ms, epoch, state, reason FROM events WHERE job = ? ORDER BY rowid");
  row.with(job);
  while (row.next()) {
    JobEvent event;
    event.job = job;
    event.at = {row.number()};
    event.epoch = static_cast<int>(row.number());
    event.state = state_of(row.text());
    event.reason = row.text();
    events.push_back(std::move(event));
  }
  return events;
}

Result<void> Store::save_summary(const JobRun& run) {
  const bool written =
      Statement(file_.get(),
                "UPDATE runs SET degrees = ?, predicted_s = ?, measured_s = ?, outcome = ? WHERE "
                "job = ? AND epoch = ?")
          .with(run.degrees)
          .with(run.predicted_s)
          .with(run.measured_s)
          .with(run.outcome)
          .with(run.job)
          .with(std::int64_t{run.epoch})
          .run();
  if (!written) return tl::unexpected(Errors{store_error(file_.get(), path_)});
  return {};
}

namespace {

constexpr const char* select_runs =
    "SELECT job, epoch, first_node, node_count, first_step, steps_done, started_ms, degrees, "
    "predicted_s, measured_s, outcome FROM runs ";

std::vector<JobRun> runs_in(Statement& row) {
  std::vector<JobRun> runs;
  while (row.next()) {
    JobRun run;
    run.job = row.text();
    run.epoch = static_cast<int>(row.number());
    run.nodes.first = static_cast<int>(row.number());
    run.nodes.count = static_cast<int>(row.number());
    run.first_step = row.number();
    run.steps_done = row.number();
    run.started = {row.number()};
    run.degrees = row.text();
    run.predicted_s = row.real();
    run.measured_s = row.real();
    run.outcome = row.text();
    runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace

std::vector<JobRun> Store::runs_of(const std::string& job) const {
  Statement row(file_.get(), std::string(select_runs) + "WHERE job = ? ORDER BY epoch");
  return runs_in(row.with(job));
}

std::optional<JobRun> Store::run_of(const std::string& job, int epoch) const {
  Statement row(file_.get(), std::string(select_runs) + "WHERE job = ? AND epoch = ?");
  const auto runs = runs_in(row.with(job).with(std::int64_t{epoch}));
  return runs.empty() ? std::nullopt : std::optional(runs.front());
}

std::vector<JobRun> Store::latest_runs(int most) const {
  Statement row(file_.get(), std::string(select_runs) + "ORDER BY rowid DESC LIMIT ?");
  return runs_in(row.with(std::int64_t{most}));
}

std::vector<StepRecord> Store::steps_of(const std::string& job) const {
  std::vector<StepRecord> steps;
  Statement row(file_.get(),
                "SELECT epoch, step, step_time_s FROM steps WHERE job = ? ORDER BY epoch, step");
  row.with(job);
  while (row.next()) {
    StepRecord step;
    step.job = job;
    step.epoch = static_cast<int>(row.number());
    step.step = row.number();
    step.step_time_s = row.real();
    steps.push_back(std::move(step));
  }
  return steps;
}

std::optional<std::string> Store::plan_of(const std::string& job, int epoch) const {
  Statement row(file_.get(), "SELECT plan FROM plans WHERE job = ? AND epoch = ?");
  if (!row.with(job).with(std::int64_t{epoch}).next()) return std::nullopt;
  return row.text();
}

std::vector<LinkStatistic> Store::course_of(const std::string& link, int most) const {
  std::vector<LinkStatistic> course;
  Statement row(file_.get(),
                "SELECT link, job, epoch, utilization, busy_s, measured_s, expected_s FROM "
                "link_statistics WHERE ?1 = '' OR link = ?1 ORDER BY rowid DESC LIMIT ?2");
  row.with(link).with(std::int64_t{most});
  while (row.next()) {
    LinkStatistic statistic;
    statistic.link = row.text();
    statistic.job = row.text();
    statistic.epoch = static_cast<int>(row.number());
    statistic.utilization = row.real();
    statistic.busy_s = row.real();
    statistic.measured_s = row.real();
    statistic.expected_s = row.real();
    course.push_back(std::move(statistic));
  }
  std::reverse(course.begin(), course.end());
  return course;
}

}  // namespace railwright::coordinator
