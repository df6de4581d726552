// One HTTP request to a coordinator, and its answer.
#pragma once

#include <optional>
#include <string>

#include "coordinator/wire/tls.hpp"
#include "topology/result.hpp"

namespace railwright::coordinator {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// Where the coordinator is, and what it is shown.
struct Access {
  std::string address;  // HOST:PORT
  std::string token;    // may be empty
  wire::ClientTls tls;  // on when it names a CA
};

// What is wrong before anybody is asked: the form of the address, the files of TLS.
std::optional<Errors> fault_of(const Access& access);

// Gives up after ten seconds.
Result<HttpAnswer> ask_coordinator(const Access& access, const std::string& method,
                                   const std::string& target, const std::string& body = {});

}  // namespace railwright::coordinator
