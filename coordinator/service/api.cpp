#include "coordinator/service/api.hpp"

#include <fmt/format.h>

#include <charconv>

#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

ApiAnswer refusal(int status, const std::string& what, const std::string& hint = {}) {
  Json document = {{"error", what}};
  if (!hint.empty()) document["hint"] = hint;
  return {status, document.dump() + "\n"};
}

ApiAnswer said(const Json& document, int status = 200) { return {status, document.dump() + "\n"}; }

int status_of(Answer answer) {
  switch (answer) {
    case Answer::accepted:
      return 201;
    case Answer::already_there:
      return 200;
    case Answer::conflict:
      return 409;
    case Answer::unknown:
      return 404;
    case Answer::refused:
      return 422;
  }
  return 500;
}

const char* word_of(LeaderAnswer answer) {
  switch (answer) {
    case LeaderAnswer::granted:
      return "granted";
    case LeaderAnswer::stop:
      return "stop";
    case LeaderAnswer::dismissed:
      return "dismissed";
    case LeaderAnswer::none:
      break;
  }
  return "none";
}

// A page of another site could send plain forms to our loopback, but neither JSON nor DELETE
// without asking first; what it sends says where it comes from.
bool is_from_elsewhere(const ApiRequest& request) {
  return request.method != "GET" && !request.origin.empty();
}

}  // namespace

// What could not be stored is refused, not acknowledged; the next tick ends the service.
Result<ApiAnswer> Api::answer(const ApiRequest& request) {
  auto answered = route(request);
  if (!answered)
    answered = refusal(is_full(answered.error()) ? 507 : 500, to_string(answered.error()));
  if (answered) ++answered_[answered->status];
  return answered;
}

Result<ApiAnswer> Api::route(const ApiRequest& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const bool get = request.method == "GET";
  if (is_from_elsewhere(request)) return refusal(403, "requests of web pages are not taken");
  if (get && path == "/healthz") return ApiAnswer{200, "ok\n", "text/plain"};
  if (get && path == "/readyz") return ApiAnswer{200, "ready\n", "text/plain"};
  if (path == "/api/v1/leaders") return hear_leader(request);
  const Caller caller = caller_of(tokens_, request.authorization);
  if (caller.role == Role::none)
    return refusal(401, "a token is needed", "send Authorization: Bearer SECRET");
  if (get && path == "/metrics") return ApiAnswer{200, metrics(), "text/plain; version=0.0.4"};
  if (get && path == "/sd")
    return said(Json::array({{{"targets", {address_}}, {"labels", {{"role", "coordinator"}}}}}));
  if (get && path == "/api/v1/runs") return said({{"runs", run_rows()}});
  if (get && path == "/api/v1/links") return said({{"links", link_rows(dispatch_.store())}});
  const std::string jobs_path = "/api/v1/jobs", nodes_path = "/api/v1/nodes/";
  if (path.starts_with(nodes_path)) {
    if (caller.role < Role::admin) return refusal(403, "only admins say which nodes are up");
    return set_node(request, path.substr(nodes_path.size()));
  }
  if (path == jobs_path || path.starts_with(jobs_path + "/"))
    return jobs(request, caller, path.substr(jobs_path.size()));
  return refusal(404, "there is nothing at " + path, "look at /api/v1/jobs");
}

Result<ApiAnswer> Api::jobs(const ApiRequest& request, const Caller& caller,
                            const std::string& path) {
  const auto& all = dispatch_.control().jobs();
  if (path.empty() && request.method == "POST") return submit(request, caller);
  if (path.empty() && request.method == "GET") {
    Json list = Json::array();
    for (const auto& [id, job] : all) list.push_back(job_json(job));
    return said({{"jobs", list}});
  }
  const bool logs = path.ends_with("/logs");
  const std::string id = path.empty() ? "" : path.substr(1, path.size() - 1 - (logs ? 5 : 0));
  const auto job = all.find(id);
  if (path.empty()) return refusal(405, "jobs are listed with GET and submitted with POST");
  if (job == all.end()) return refusal(404, "there is no job " + id);
  if (request.method == "GET" && logs)
    return ApiAnswer{200, read_file(dispatch_.folder_of(id) + "/log").value_or(""), "text/plain"};
  if (request.method == "GET") return said(job_details(job->second, dispatch_));
  if (request.method == "DELETE" && !logs) return cancel(id, caller);
  return refusal(405, "a job is shown with GET and cancelled with DELETE");
}

Result<ApiAnswer> Api::submit(const ApiRequest& request, const Caller& caller) {
  if (caller.role < Role::submit) return refusal(403, "this token may only read");
  if (!request.content_type.starts_with("application/json"))
    return refusal(415, "a job is sent as application/json");
  if (const auto full = why_no_room(dispatch_.folder_of("")); !full.empty())
    return refusal(507, full, "make room, then submit again");
  const auto spec = job_spec(request.body, caller.owner, dispatch_.cluster());
  if (!spec) return refusal(422, to_string(spec.error()));
  const auto reply = dispatch_.submit(*spec);
  if (!reply) return tl::unexpected(reply.error());
  const int status = status_of(reply->answer);
  if (status >= 400) return refusal(status, reply->reason);
  return said(job_json(dispatch_.control().jobs().at(spec->id)), status);
}

Result<ApiAnswer> Api::cancel(const std::string& id, const Caller& caller) {
  const std::string& owner = dispatch_.control().jobs().at(id).spec.owner;
  const bool may =
      caller.role == Role::admin || (caller.role == Role::submit && caller.owner == owner);
  if (!may) return refusal(403, "the job belongs to " + owner);
  const auto reply = dispatch_.cancel(id);
  if (!reply) return tl::unexpected(reply.error());
  return said(job_json(dispatch_.control().jobs().at(id)));
}

// A leader shows the token of its launch, which nobody else knows.
Result<ApiAnswer> Api::hear_leader(const ApiRequest& request) {
  const Json word = Json::parse(request.body, nullptr, false);
  try {
    const auto id = word.at("id").get<std::string>();
    const auto epoch = word.at("epoch").get<int>();
    const auto leader = word.at("leader").get<std::string>();
    const auto steps = word.at("steps_done").get<std::int64_t>();
    const std::string scheme = "Bearer ";
    const std::string token = request.authorization.starts_with(scheme)
                                  ? request.authorization.substr(scheme.size())
                                  : std::string();
    if (!is_name(id) || !dispatch_.is_token_of(id, epoch, token))
      return refusal(401, "this is no leader of that job");
    Result<LeaderAnswer> heard = LeaderAnswer::none;
    if (word.contains("outcome")) {
      Ended end{id, epoch, leader, Outcome::lost, Failure::none, steps, {}};
      end.outcome = static_cast<Outcome>(word.at("outcome").get<unsigned>() % 4);
      end.failure = static_cast<Failure>(word.at("failure").get<unsigned>() % 5);
      end.reason = word.at("reason").get<std::string>();
      heard = dispatch_.hear(end);
    } else {
      heard =
          dispatch_.hear(Alive{id, epoch, leader, word.at("asked_at").get<std::int64_t>(), steps});
    }
    if (!heard) return tl::unexpected(heard.error());
    return said({{"answer", word_of(*heard)}});
  } catch (const Json::exception&) {
    return refusal(400, "this is no word of a leader");
  }
}

Result<ApiAnswer> Api::set_node(const ApiRequest& request, const std::string& number) {
  int node = -1;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, node);
  const int nodes = dispatch_.control().settings().nodes;
  if (error != std::errc{} || stop != end || node < 0 || node >= nodes)
    return refusal(404, "there is no node " + number, fmt::format("nodes are 0 to {}", nodes - 1));
  const Json body = Json::parse(request.body, nullptr, false);
  if (request.method != "POST" || !body.is_object() || !body.contains("down") ||
      !body["down"].is_boolean())
    return refusal(400, "POST {\"down\": true} or {\"down\": false}");
  if (auto done = dispatch_.set_node(node, body["down"].get<bool>(), "said by an admin"); !done)
    return tl::unexpected(done.error());
  return said({{"node", node}, {"down", body["down"]}});
}

}  // namespace railwright::coordinator
