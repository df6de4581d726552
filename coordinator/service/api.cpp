#include "coordinator/service/api.hpp"

#include <fmt/format.h>

#include <charconv>

#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

// What clients and leaders said comes back in answers, and need not be UTF-8.
std::string text_of(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ApiAnswer refusal(int status, const std::string& what, const std::string& hint = {}) {
  Json document = {{"error", what}};
  if (!hint.empty()) document["hint"] = hint;
  return {status, text_of(document)};
}

ApiAnswer said(const Json& document, int status = 200) { return {status, text_of(document)}; }

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

// One after another; who reads them puts "error" in front.
std::string reasons_of(const Errors& errors) {
  std::string text;
  for (const ConfigError& error : errors)
    text +=
        (text.empty() ? "" : "\n") + error.message + (error.hint.empty() ? "" : "; " + error.hint);
  return text;
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
  if (answered) traffic_.answered(answered->status);
  return answered;
}

Result<ApiAnswer> Api::route(const ApiRequest& request) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const bool get = request.method == "GET";
  if (is_from_elsewhere(request)) return refusal(403, "requests of web pages are not taken");
  if (get && path == "/healthz") return ApiAnswer{200, "ok\n", "text/plain"};
  if (get && path == "/readyz") return readiness();
  const Caller caller = caller_of(tokens_, request.authorization);
  if (caller.role == Role::none) {
    traffic_.refuse(Protocol::http, "token", request.from);
    return refusal(401,
                   request.authorization.empty() ? "a token is needed" : "the token is not known",
                   "set RAILWRIGHT_TOKEN, or send Authorization: Bearer SECRET");
  }
  if (get && path == "/metrics") return ApiAnswer{200, metrics(), "text/plain; version=0.0.4"};
  if (get && path == "/sd")
    return said(Json::array({{{"targets", {address_}}, {"labels", {{"role", "coordinator"}}}}}));
  if (get && path == "/api/v1/runs") return said({{"runs", run_rows()}});
  if (get && path == "/api/v1/links") return said({{"links", link_rows(dispatch_.store())}});
  if (get && path == "/api/v1/nodes") return said(nodes_json(dispatch_.control()));
  const std::string jobs_path = "/api/v1/jobs", nodes_path = "/api/v1/nodes/";
  if (path.starts_with(nodes_path)) {
    if (caller.role < Role::admin) return refusal(403, "only admins say which nodes are up");
    return set_node(request, path.substr(nodes_path.size()));
  }
  if (path == jobs_path || path.starts_with(jobs_path + "/"))
    return jobs(request, caller, path.substr(jobs_path.size()));
  return refusal(404, "there is nothing at " + path, "look at /api/v1/jobs");
}

// The store is open: who cannot open it does not listen.
ApiAnswer Api::readiness() {
  const std::size_t awaited = leaders_.awaited();
  if (awaited == 0) return {200, "ready\n", "text/plain"};
  return {503, fmt::format("adopting: {} leaders have not spoken yet\n", awaited), "text/plain"};
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
  if (job == all.end()) {
    traffic_.refuse(Protocol::http, "job", request.from);
    return refusal(404, "there is no job " + id);
  }
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
  if (!spec) return refusal(422, reasons_of(spec.error()));
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
