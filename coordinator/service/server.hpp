// The listener: HTTP over TCP, limits and time-outs; what is asked goes to the Api.
#pragma once

#include <string>
#include <vector>

#include "coordinator/service/access.hpp"
#include "coordinator/service/dispatch.hpp"

namespace railwright::coordinator {

struct ServerSettings {
  Address address;
  std::vector<Token> tokens;
  std::string address_path;  // a file that says where it listens, for leaders
};

// Serves until SIGINT or SIGTERM. Errors: it cannot listen, or the store failed.
Result<void> serve_jobs(Dispatch& dispatch, const ServerSettings& settings);

}  // namespace railwright::coordinator
