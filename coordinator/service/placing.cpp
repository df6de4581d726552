// Which nodes a planned job gets, when there is a choice; and whether a running one had better move
// away from a link that its run found slow.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

constexpr int most_candidates = 4;
constexpr double moving_s = 5;  // to stop, plan and start again

std::string milliseconds(const Json& allocation) {
  return fmt::format("{:.3f} ms", 1e3 * allocation.value("step_time_s", 0.0));
}

// The entry of an allocation; null when it is not among them.
Json allocation_at(const Json& choice, int first_node) {
  for (const Json& allocation : choice.value("allocations", Json::array()))
    if (allocation.value("first_node", -1) == first_node) return allocation;
  return {};
}

}  // namespace

std::vector<std::string> Dispatch::running_plans(const std::string& besides) const {
  std::vector<std::string> paths;
  for (const auto& [id, job] : control_->jobs())
    if (id != besides && (job.state == State::starting || job.state == State::running))
      paths.push_back(file_of(id, "plan", job.epoch, ".json"));
  return paths;
}

// False when there is nothing to choose, or nothing that makes a difference.
bool Dispatch::start_placing(const std::string& id, int epoch, Work work, std::string note) {
  const NodeRange nodes = control_->jobs().at(id).nodes;
  const auto candidates = control_->candidates_for(id, most_candidates);
  const auto beside = running_plans(id);
  const auto slow = store_->slow_links();
  if (candidates.size() < 2 || (beside.empty() && slow.empty())) return false;
  Child child;
  child.arguments = {own_program(), "place", "--plan=" + file_of(id, "plan", epoch, ".json"),
                     "--output=" + file_of(id, "placed", epoch, ".json")};
  for (const NodeRange& candidate : candidates)
    child.arguments.push_back(fmt::format("--first-node={}", candidate.first));
  for (const std::string& path : beside) child.arguments.push_back("--beside=" + path);
  Json document = Json::object();
  for (const auto& [link, factor] : slow) document[link] = factor;
  const std::string slow_path = file_of(id, "slow", epoch, ".json");
  if (!write_file(slow_path, document.dump())) return false;
  child.arguments.push_back("--slow-links=" + slow_path);
  child.arguments = tethered(std::move(child.arguments), "KILL");
  child.output_path = file_of(id, "choice", epoch, ".json");
  child.error_path = folder_of(id) + "/log";
  child.folder = folder_of(id);
  const auto pid = start_child(child);
  if (!pid) return false;
  children_[*pid] = {
      .id = id, .epoch = epoch, .work = work, .note = std::move(note), .given = nodes};
  return true;
}

Json Dispatch::choice_of(const std::string& id, int epoch) const {
  return Json::parse(read_file(file_of(id, "choice", epoch, ".json")).value_or(""), nullptr, false);
}

// The plan that was made for other nodes takes the place of the first one, where these are still
// free; a choice that failed changes nothing.
Result<void> Dispatch::placed(const Running& child, int status) {
  const NodeRange given = child.given;
  const std::string plan = file_of(child.id, "plan", child.epoch, ".json");
  Planned event{child.id, child.epoch, Failure::none, child.note, {}};
  const Json choice = choice_of(child.id, child.epoch);
  if (status == 0 && choice.is_object()) {
    const NodeRange nodes{choice.value("chosen", given.first), given.count};
    std::error_code failed;
    if (nodes != given && control_->may_move(child.id, nodes)) {
      std::filesystem::rename(file_of(child.id, "placed", child.epoch, ".json"), plan, failed);
      if (!failed) event.nodes = nodes;
    }
    if (event.nodes.count > 0)
      event.reason += fmt::format("{}on nodes from {} on: {} a step, from {} on it would take {}",
                                  event.reason.empty() ? "" : "; ", nodes.first,
                                  milliseconds(allocation_at(choice, nodes.first)), given.first,
                                  milliseconds(allocation_at(choice, given.first)));
  }
  if (const auto text = read_file(plan))
    if (auto saved = keep_plan(child.id, child.epoch, *text); !saved) return saved;
  return on(event);
}

// Slow links of a report, each with the share of its speed that is left; those that the run has
// compared with others and does not complain of are forgiven.
void Dispatch::remember_slow_links(const std::string& id, int epoch, const Json& report) {
  if (!report.contains("slow_links") || !report["slow_links"].is_array()) return;
  std::map<std::string, double> worst;
  std::vector<std::string> judged;
  for (const Json& link : report.value("judged_links", Json::array()))
    judged.push_back(link.get<std::string>());
  for (const Json& verdict : report["slow_links"])
    for (const Json& link : verdict.value("links", Json::array())) {
      const double left = verdict.value("usual_s", 0.0) / verdict.value("time_s", 1.0);
      double& share = worst.try_emplace(link.get<std::string>(), 1).first->second;
      share = std::min(share, left);
    }
  std::vector<SlowLink> slow;
  for (const auto& [link, share] : worst) slow.push_back({link, id, epoch, share});
  (void)store_->save_slow_links(judged, slow);
}

// Of a job that runs: once per launch, when its run complains.
void Dispatch::look_at_report(const std::string& id, int epoch) {
  const std::string path = file_of(id, "report", epoch, ".json");
  std::error_code failed;
  const auto written = std::filesystem::last_write_time(path, failed);
  if (failed) return;
  Report& known = reports_[id];
  if (known.epoch != epoch) known = {epoch, {}, false};
  if (known.complained || std::exchange(known.seen, written) == written) return;
  const Json report = Json::parse(read_file(path).value_or(""), nullptr, false);
  if (!report.is_object() || report.value("slow_links", Json::array()).empty()) return;
  known.complained = true;
  try {
    remember_slow_links(id, epoch, report);
    start_placing(id, epoch, Work::reviewing, {});
  } catch (const Json::exception&) {
    return;  // no report of ours
  }
}

// Moving pays when all steps elsewhere take less than those that are left here.
Result<void> Dispatch::reviewed(const Running& child, int status) {
  const auto known = control_->jobs().find(child.id);
  const NodeRange given = child.given;
  const Json choice = choice_of(child.id, child.epoch);
  if (status != 0 || !choice.is_object() || known->second.epoch != child.epoch) return {};
  const int first = choice.value("chosen", given.first);
  if (first == given.first) return {};
  const Json here = allocation_at(choice, given.first), there = allocation_at(choice, first);
  const Json report = Json::parse(
      read_file(file_of(child.id, "report", child.epoch, ".json")).value_or(""), nullptr, false);
  const auto all = static_cast<double>(known->second.spec.steps - known->second.first_step);
  const auto done = static_cast<double>(report.value("steps", Json::array()).size());
  const double stay = (all - done) * here.value("step_time_s", 0.0);
  const double move = all * there.value("step_time_s", 0.0) + moving_s;
  if (move >= stay) return {};
  return on(Displace{child.id, child.epoch,
                     fmt::format("moves away from a slow link: {:.1f} s on nodes from {} on, "
                                 "{:.1f} s here",
                                 move, first, stay)});
}

}  // namespace railwright::coordinator
