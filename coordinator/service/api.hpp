// The HTTP interface without the wire: one request in, one answer out.
#pragma once

#include <string>
#include <vector>

#include "coordinator/service/access.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/leaders.hpp"
#include "coordinator/service/traffic.hpp"

namespace railwright::coordinator {

struct ApiRequest {
  std::string method, target, body;
  std::string authorization, content_type, origin;
  std::string from;  // the client's address, for the log
};
struct ApiAnswer {
  int status = 200;
  std::string body, content_type = "application/json";
};

class Api {
 public:
  Api(Dispatch& dispatch, Leaders& leaders, Traffic& traffic, std::vector<Token> tokens,
      std::string address)
      : dispatch_(dispatch),
        leaders_(leaders),
        traffic_(traffic),
        tokens_(std::move(tokens)),
        address_(std::move(address)) {}

  // Errors are those of the store: the service must end.
  Result<ApiAnswer> answer(const ApiRequest& request);

 private:
  Result<ApiAnswer> route(const ApiRequest& request);
  Result<ApiAnswer> jobs(const ApiRequest& request, const Caller& caller, const std::string& path);
  Result<ApiAnswer> submit(const ApiRequest& request, const Caller& caller);
  Result<ApiAnswer> cancel(const std::string& id, const Caller& caller);
  Result<ApiAnswer> set_node(const ApiRequest& request, const std::string& number);
  ApiAnswer readiness();
  std::string metrics() const;
  Json run_rows() const;

  Dispatch& dispatch_;
  Leaders& leaders_;
  Traffic& traffic_;
  std::vector<Token> tokens_;
  std::string address_;
};

Json job_json(const control::Job& job);
Json run_json(const JobRun& run);
// By name: its runs and how far the latest is from the first.
Json link_rows(const Store& store);
Json nodes_json(const control::Control& control);
// With its events, runs, steps and result.
Json job_details(const control::Job& job, const Dispatch& dispatch);

}  // namespace railwright::coordinator
