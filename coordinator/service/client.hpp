// One HTTP request to a coordinator, and its answer.
#pragma once

#include <string>

#include "topology/result.hpp"

namespace railwright::coordinator {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// `address` is HOST:PORT; `token` may be empty. Gives up after ten seconds.
Result<HttpAnswer> ask_coordinator(const std::string& address, const std::string& method,
                                   const std::string& target, const std::string& body,
                                   const std::string& token);

}  // namespace railwright::coordinator
