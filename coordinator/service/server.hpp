// The listener: HTTP and the frames of leaders on one port, over TLS when it has a certificate.
// What a connection speaks is told from its first byte.
#pragma once

#include <string>
#include <vector>

#include "coordinator/service/access.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/wire/tls.hpp"

namespace railwright::coordinator {

struct ServerSettings {
  Address address;
  std::vector<Token> tokens;
  wire::ServerTls tls;
  std::string data;  // where DATA/address and DATA/certificate.pem tell leaders how to reach it
};

// Whether it could now.
Result<void> can_listen(const Address& address);
// Serves until SIGINT or SIGTERM. Errors: it cannot listen, or the store failed.
Result<void> serve_jobs(Dispatch& dispatch, const ServerSettings& settings);

}  // namespace railwright::coordinator
