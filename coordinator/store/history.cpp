// What is kept beside the jobs themselves: events, runs, plans, steps, links.
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
        written && Statement(file, "INSERT OR REPLACE INTO link_statistics VALUES (?,?,?,?,?)")
                       .with(link.job)
                       .with(std::int64_t{link.epoch})
                       .with(link.link)
                       .with(link.utilization)
                       .with(link.busy_s)
                       .run();
  if (written && execute(file, "COMMIT")) return {};
  const ConfigError error = store_error(file, path_);
  execute(file, "ROLLBACK");
  return tl::unexpected(Errors{error});
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

std::vector<JobRun> Store::runs_of(const std::string& job) const {
  std::vector<JobRun> runs;
  Statement row(file_.get(),
                "SELECT epoch, first_node, node_count, first_step, steps_done FROM runs "
                "WHERE job = ? ORDER BY epoch");
  row.with(job);
  while (row.next()) {
    JobRun run;
    run.job = job;
    run.epoch = static_cast<int>(row.number());
    run.nodes.first = static_cast<int>(row.number());
    run.nodes.count = static_cast<int>(row.number());
    run.first_step = row.number();
    run.steps_done = row.number();
    runs.push_back(std::move(run));
  }
  return runs;
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

std::vector<LinkStatistic> Store::course_of(const std::string& link) const {
  std::vector<LinkStatistic> course;
  Statement row(file_.get(),
                "SELECT job, epoch, utilization, busy_s FROM link_statistics WHERE link = ? "
                "ORDER BY rowid");
  row.with(link);
  while (row.next()) {
    LinkStatistic statistic;
    statistic.link = link;
    statistic.job = row.text();
    statistic.epoch = static_cast<int>(row.number());
    statistic.utilization = row.real();
    statistic.busy_s = row.real();
    course.push_back(std::move(statistic));
  }
  return course;
}

}  // namespace railwright::coordinator
