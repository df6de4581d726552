// Certificates for trying TLS out: an authority of one's own and what it has signed.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "topology/result.hpp"

namespace railwright::coordinator::wire {

// Seconds from now; a certificate is valid from the first to the second.
struct Validity {
  std::chrono::seconds from = std::chrono::hours(-1);
  std::chrono::seconds until = std::chrono::hours(24 * 365);
};

// Writes ca, server and client, each as NAME.pem and NAME.key of mode 0600. The server's is for
// `hosts`, names or IP addresses. Keys are EC P-256. A file that is there already is an error:
// it may be in use.
Result<void> make_dev_certificates(const std::string& folder, const std::vector<std::string>& hosts,
                                   Validity validity = {});

}  // namespace railwright::coordinator::wire
