// Jobs as JSON, and the metrics.
#include <fmt/format.h>

#include "coordinator/service/api.hpp"
#include "coordinator/service/files.hpp"
#include "topology/version.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

double seconds(std::int64_t milliseconds) { return static_cast<double>(milliseconds) / 1000; }

std::string family(const char* name, const char* type, const char* help) {
  return fmt::format("# HELP railwright_{0} {2}\n# TYPE railwright_{0} {1}\n", name, type, help);
}

}  // namespace

Json job_json(const Job& job) {
  Json document = {{"id", job.spec.id},
                   {"state", to_string(job.state)},
                   {"owner", job.spec.owner},
                   {"epoch", job.epoch},
                   {"nodes_wanted", job.spec.nodes},
                   {"steps", job.spec.steps},
                   {"steps_done", job.steps_done},
                   {"losses", job.losses},
                   {"lost_s", seconds(job.lost_milliseconds)},
                   {"submitted_s", seconds(job.submitted.milliseconds)}};
  if (job.nodes.count > 0)
    document["nodes"] = {{"first", job.nodes.first}, {"count", job.nodes.count}};
  if (job.cancelling) document["cancelling"] = true;
  if (job.failure != Failure::none) document["failure"] = to_string(job.failure);
  if (!job.reason.empty()) document["reason"] = job.reason;
  if (is_final(job.state)) document["ended_s"] = seconds(job.ended.milliseconds);
  return document;
}

Json run_json(const JobRun& run) {
  Json document = {{"job", run.job},
                   {"epoch", run.epoch},
                   {"first_node", run.nodes.first},
                   {"nodes", run.nodes.count},
                   {"first_step", run.first_step},
                   {"steps_done", run.steps_done},
                   {"started_s", seconds(run.started.milliseconds)},
                   {"degrees", run.degrees},
                   {"outcome", run.outcome}};
  if (run.predicted_s > 0) document["predicted"]["step_time_s"] = run.predicted_s;
  if (run.measured_s > 0) document["measured"]["step_time_s"] = run.measured_s;
  if (run.predicted_s > 0 && run.measured_s > 0)
    document["ratio"]["step_time_s"] = run.measured_s / run.predicted_s;
  return document;
}

Json Api::run_rows() const {
  constexpr int most = 1'000;
  Json rows = Json::array();
  for (const JobRun& run : dispatch_.store().latest_runs(most)) rows.push_back(run_json(run));
  return rows;
}

Json link_rows(const Store& store) {
  std::map<std::string, Json> links;
  constexpr int most = 10'000;
  for (const LinkStatistic& run : store.course_of("", most)) {
    Json row = {{"job", run.job}, {"epoch", run.epoch}};
    const bool measured = run.measured_s > 0 && run.expected_s > 0;
    if (measured) row["ratio"] = run.measured_s / run.expected_s;
    if (!measured) row["utilization"] = run.utilization;
    links[run.link].push_back(std::move(row));
  }
  Json rows = Json::array();
  for (auto& [name, runs] : links) {
    Json row = {{"name", name}};
    std::vector<double> ratios;
    for (const Json& run : runs)
      if (run.contains("ratio")) ratios.push_back(run["ratio"].get<double>());
    if (ratios.size() > 1) row["drift"] = ratios.back() / ratios.front() - 1;
    row["runs"] = std::move(runs);
    rows.push_back(std::move(row));
  }
  return rows;
}

Json nodes_json(const Control& control) {
  Json down = Json::array();
  for (const auto& [node, state] : control.down_nodes())
    down.push_back({{"node", node}, {"reason", state.reason}});
  Json suspected = Json::array();
  for (const NodeState& state : control.suspected_nodes())
    suspected.push_back({{"node", state.node},
                         {"reason", state.reason},
                         {"at_s", seconds(state.lost_worker.milliseconds)}});
  return {{"nodes", control.settings().nodes},
          {"down", std::move(down)},
          {"suspected", std::move(suspected)}};
}

Json job_details(const Job& job, const Dispatch& dispatch) {
  const std::string& id = job.spec.id;
  Json document = job_json(job);
  document["request"] = Json::parse(job.spec.request, nullptr, false);
  document["events"] = Json::array();
  for (const JobEvent& event : dispatch.store().events_of(id))
    document["events"].push_back({{"at_s", seconds(event.at.milliseconds)},
                                  {"epoch", event.epoch},
                                  {"state", to_string(event.state)},
                                  {"reason", event.reason}});
  document["runs"] = Json::array();
  for (const JobRun& run : dispatch.store().runs_of(id)) document["runs"].push_back(run_json(run));
  const auto choice =
      read_file(fmt::format("{}/choice.{}.json", dispatch.folder_of(id), job.epoch));
  const Json placement = Json::parse(choice.value_or(""), nullptr, false);
  if (placement.is_object()) document["placement"] = placement;
  const auto result =
      read_file(fmt::format("{}/result.{}.json", dispatch.folder_of(id), job.epoch));
  Json parsed = Json::parse(result.value_or(""), nullptr, false);
  if (job.state == State::done && parsed.is_object()) document["result"] = std::move(parsed);
  return document;
}

std::string Api::metrics() const {
  const Metrics counted = metrics_of(dispatch_.control().jobs());
  std::string text = family("jobs", "gauge", "Jobs by state.");
  for (const auto& [state, count] : counted.jobs)
    text += fmt::format("railwright_jobs{{state=\"{}\"}} {}\n", to_string(state), count);
  const auto counter = [&](const char* name, const char* help, auto value) {
    text += family(name, "counter", help) + fmt::format("railwright_{} {}\n", name, value);
  };
  counter("job_steps_total", "Steps of all jobs, each counted once.", counted.steps);
  counter("job_attempts_total", "Times that a job was planned.", counted.attempts);
  counter("job_losses_total", "Times that a running job was lost.", counted.losses);
  counter("job_lost_seconds_total", "Seconds between losses and going on.",
          seconds(counted.lost_milliseconds));
  text += traffic_.metrics();
  text += family("nodes_down", "gauge", "Nodes that are not used.") +
          fmt::format("railwright_nodes_down {}\n", dispatch_.control().down_nodes().size());
  text += family("build_info", "gauge", "Version of the coordinator.") +
          fmt::format("railwright_build_info{{version=\"{}\"}} 1\n", tool_version);
  return text;
}

}  // namespace railwright::coordinator
