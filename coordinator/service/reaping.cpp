// Ends of the processes that the coordinator started, and what they left behind.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "coordinator/service/checkpoints.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/files.hpp"
#include "emulator/plan.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

using Clock = std::chrono::steady_clock;

// In which what a dead leader left behind is taken down by those who notice its death.
constexpr auto tear_down = std::chrono::seconds(3);

Failure failure_of_status(int status) {
  switch (status) {
    case 0:
      return Failure::none;
    case exit_usage:
      return Failure::invalid;
    case exit_infeasible:
      return Failure::infeasible;
    default:
      return Failure::run;
  }
}

// The last error that a log tells of.
std::string last_error(const std::string& log) {
  const auto found = log.rfind("error: ");
  if (found == std::string::npos) return "see its log";
  return log.substr(found + 7, log.find('\n', found) - found - 7);
}

double number_of(const Json& value, const char* key) {
  return value.contains(key) && value[key].is_number() ? value[key].get<double>() : 0;
}

}  // namespace

bool Dispatch::has_ended(pid_t pid, const Running& child, int& wait_status) {
  if (child.ended) return false;  // that is known
  if (child.adopted) return !lives(*child.adopted);
  return waitpid(pid, &wait_status, WNOHANG) == pid;
}

Result<void> Dispatch::reap() {
  std::vector<std::pair<Running, int>> finished_ones;
  int wait_status = 0;
  for (auto it = children_.begin(); it != children_.end();) {
    const bool ended = has_ended(it->first, it->second, wait_status);
    if (ended && it->second.work != Work::leading) {
      finished_ones.emplace_back(it->second,
                                 WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128);
      it = children_.erase(it);
      continue;
    }
    if (ended) it->second.ended = Clock::now();
    ++it;
  }
  for (const auto& [child, status] : finished_ones)
    if (auto done = finished(child, status); !done) return done;
  std::vector<Running> gone;
  for (auto it = children_.begin(); it != children_.end();) {
    const Running& child = it->second;
    if (child.ended && !child.adopted && Clock::now() - *child.ended > tear_down)
      signal_session(it->first, SIGKILL);
    const bool before_boot = child.adopted && child.adopted->boot != boot_name();
    const bool all_gone = child.ended && (before_boot || members_of_session(it->first).empty());
    if (all_gone) gone.push_back(it->second);
    it = all_gone ? children_.erase(it) : std::next(it);
  }
  for (const Running& child : gone)
    if (auto done = leader_ended(child); !done) return done;
  return {};
}

Result<void> Dispatch::finished(const Running& child, int status) {
  if (child.work == Work::placing) return placed(child, status);
  if (child.work == Work::reviewing) return reviewed(child, status);
  return planned(child, status);
}

Result<void> Dispatch::planned(const Running& child, int status) {
  Planned event{child.id, child.epoch, failure_of_status(status), {}, {}};
  if (status != 0) event.reason = last_error(read_file(folder_of(child.id) + "/log").value_or(""));
  if (event.failure == Failure::none || event.failure == Failure::infeasible) {
    const Job& job = control_->jobs().at(child.id);
    const Plan again{child.id, child.epoch, job.nodes};
    const bool current = job.state == State::planning && job.epoch == child.epoch;
    const auto portions = current ? portions_for(again) : std::vector<Portion>{};
    if (status == 0 && current) event.reason = portions.at(child.portion).note;
    if (status == 0 && current && start_placing(child.id, child.epoch, Work::placing, event.reason))
      return {};
    if (status != 0 && child.portion + 1 < portions.size()) {
      start_planning(again, child.portion + 1);
      return {};
    }
  }
  const auto plan = read_file(file_of(child.id, "plan", child.epoch, ".json"));
  if (status == 0 && plan)
    if (auto saved = keep_plan(child.id, child.epoch, *plan); !saved) return saved;
  return on(event);
}

// It has told us itself, or left a note, or was killed.
Result<void> Dispatch::leader_ended(const Running& child) {
  auto end = read_end(file_of(child.id, "end", child.epoch, ".json"));
  if (!end || end->leader != child.name)
    end = Ended{child.id,
                child.epoch,
                child.name,
                Outcome::lost,
                Failure::none,
                stored_steps(checkpoints_of(child.id)),
                "the process that led it was killed"};
  const auto heard = hear(*end);
  if (!heard) return tl::unexpected(heard.error());
  return {};
}

Result<void> Dispatch::keep_plan(const std::string& id, int epoch, const std::string& plan) {
  if (auto saved = store_->save_plan(id, epoch, plan); !saved) return saved;
  const auto parsed = emulator::parse_plan(plan, "plan");
  auto run = store_->run_of(id, epoch);
  if (!parsed || !run) return {};
  run->degrees = workload::to_string(parsed->degrees);
  run->predicted_s = parsed->prediction.step_time.value;
  return store_->save_summary(*run);
}

void Dispatch::keep_outcome(const Ended& end) {
  auto run = store_->run_of(end.id, end.epoch);
  if (!run) return;
  run->outcome = to_string(end.outcome);
  const auto text = read_file(file_of(end.id, "result", end.epoch, ".json"));
  const Json document = Json::parse(text.value_or(""), nullptr, false);
  if (document.is_object() && document.contains("measured"))
    run->measured_s = number_of(document["measured"], "step_time_s");
  else if (document.is_object())
    run->measured_s = number_of(document, "step_time_s");  // emulated
  (void)store_->save_summary(*run);
}

// Steps and links of a finished run go to the store; a document that is not there is no reason to
// fail the job.
void Dispatch::keep_result(const std::string& id, int epoch) {
  const auto text = read_file(file_of(id, "result", epoch, ".json"));
  const Json document = Json::parse(text.value_or(""), nullptr, false);
  if (!document.is_object()) return;
  std::vector<StepRecord> steps;
  std::vector<LinkStatistic> links;
  const std::int64_t first = control_->jobs().at(id).first_step;
  if (document.contains("steps") && document["steps"].is_array())
    for (const Json& step : document["steps"]) {
      const std::int64_t next = first + 1 + static_cast<std::int64_t>(steps.size());
      const bool numbered = step.contains("step") && step["step"].is_number_integer();
      steps.push_back({id, epoch, numbered ? step["step"].get<std::int64_t>() : next,
                       number_of(step, step.contains("time_s") ? "time_s" : "step_time_s")});
    }
  // With more ranks than cores times say nothing about links.
  const bool meaningful = !document.value("oversubscribed", false);
  if (meaningful && document.contains("links") && document["links"].is_array())
    for (const Json& link : document["links"])
      if (link.contains("name") && link["name"].is_string())
        links.push_back({id, epoch, link["name"].get<std::string>(), number_of(link, "utilization"),
                         number_of(link, "busy_s"), number_of(link, "time_s"),
                         number_of(link, "expected_s")});
  (void)store_->save_steps(steps, links);
  try {
    if (meaningful) remember_slow_links(id, epoch, document);
  } catch (const Json::exception&) {
    return;  // no result of ours
  }
}

}  // namespace railwright::coordinator
