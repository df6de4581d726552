#include "coordinator/service/job_text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <sstream>

namespace railwright::coordinator {

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string when(const Json& document, const char* key) {
  const auto seconds = static_cast<std::time_t>(document.value(key, 0.0));
  return seconds == 0 ? "-" : fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(seconds));
}

std::string step_time(const Json& run, const char* what) {
  if (!run.contains(what)) return "-";
  return fmt::format("{:.3f}", 1e3 * run[what].value("step_time_s", 0.0));
}

std::string ratio(const Json& run) {
  return run.contains("ratio") ? fmt::format("{:.2f}", run["ratio"].value("step_time_s", 0.0))
                               : "-";
}

// Without what is as it is by default.
std::string short_degrees(const std::string& degrees) {
  std::istringstream words(degrees);
  std::string text;
  for (std::string word; std::getline(words, word, ',');) {
    const bool usual = word.ends_with("=1") || word.ends_with("=none") || word.ends_with("=0") ||
                       word.ends_with("=false") || word == "schedule=1f1b";
    if (!usual || word == "zero_stage=1") text += (text.empty() ? "" : ",") + word;
  }
  return text.empty() && !degrees.empty() ? "1 rank" : text;
}

std::string dash(const std::string& text) { return text.empty() ? "-" : text; }

std::vector<std::string> row_of(const Json& job) {
  return {job.value("id", ""),
          job.value("state", ""),
          fmt::format("{}/{}", job.value("steps_done", 0), job.value("steps", 0)),
          std::to_string(job.value("epoch", 0)),
          std::to_string(job.value("losses", 0)),
          job.value("owner", ""),
          job.value("reason", "")};
}

}  // namespace

std::string jobs_text(const Json& jobs) {
  Rows rows = {{"job", "state", "steps", "epoch", "losses", "owner", "reason"}};
  for (const Json& job : jobs) rows.push_back(row_of(job));
  return table(rows);
}

std::string runs_text(const Json& runs) {
  Rows rows = {{"job", "epoch", "started (UTC)", "nodes", "steps", "degrees", "predicted ms",
                "measured ms", "ratio", "outcome"}};
  for (const Json& run : runs)
    rows.push_back({run.value("job", ""), std::to_string(run.value("epoch", 0)),
                    when(run, "started_s"),
                    fmt::format("{}+{}", run.value("first_node", 0), run.value("nodes", 0)),
                    fmt::format("{}..{}", run.value("first_step", 0), run.value("steps_done", 0)),
                    dash(short_degrees(run.value("degrees", ""))), step_time(run, "predicted"),
                    step_time(run, "measured"), ratio(run), dash(run.value("outcome", ""))});
  return table(rows);
}

// Which nodes it could have had.
std::string placement_text(const Json& placement) {
  Rows rows = {{"nodes from", "step ms", "alone ms", "others take longer by", ""}};
  for (const Json& one : placement["allocations"])
    rows.push_back({std::to_string(one.value("first_node", 0)),
                    fmt::format("{:.3f}", 1e3 * one.value("step_time_s", 0.0)),
                    fmt::format("{:.3f}", 1e3 * one.value("alone_s", 0.0)),
                    fmt::format("{:.1f} %", 100 * one.value("slowdown_of_others", 0.0)),
                    one.value("first_node", 0) == placement.value("chosen", -1) ? "chosen" : ""});
  return "\n" + table(rows);
}

std::string job_text(const Json& job) {
  Rows events = {{"at (UTC)", "epoch", "state", "reason"}};
  for (const Json& event : job["events"])
    events.push_back({when(event, "at_s"), std::to_string(event.value("epoch", 0)),
                      event.value("state", ""), event.value("reason", "")});
  return fmt::format("{}\n{}\n{}{}lost: {:.1f} s\n", jobs_text(Json::array({job})), table(events),
                     runs_text(job["runs"]),
                     job.contains("placement") ? placement_text(job["placement"]) : "",
                     job.value("lost_s", 0.0));
}

std::string nodes_text(const Json& nodes) {
  Rows rows = {{"node", "state", "reason"}};
  for (const char* state : {"down", "suspected"})
    for (const Json& node : nodes.value(state, Json::array()))
      rows.push_back({std::to_string(node.value("node", 0)), state, node.value("reason", "")});
  const auto all = nodes.value("nodes", std::size_t{0});
  const std::string up = fmt::format("{} of {} nodes are up\n", all - nodes["down"].size(), all);
  return rows.size() == 1 ? up : up + table(rows);
}

std::string links_text(const Json& links) {
  Rows rows = {{"link", "runs", "first ratio", "last ratio", "drift", "last utilization"}};
  for (const Json& link : links) {
    std::string first = "-", last = "-", used = "-";
    for (const Json& run : link["runs"]) {
      if (run.contains("utilization")) used = fmt::format("{:.3f}", run.value("utilization", 0.0));
      if (!run.contains("ratio")) continue;
      last = fmt::format("{:.2f}", run.value("ratio", 0.0));
      if (first == "-") first = last;
    }
    rows.push_back(
        {link.value("name", ""), std::to_string(link["runs"].size()), first, last,
         link.contains("drift") ? fmt::format("{:+.0f}%", 100 * link.value("drift", 0.0)) : "-",
         used});
  }
  return table(rows);
}

}  // namespace railwright::coordinator
