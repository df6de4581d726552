// One GET over a plain socket: what Prometheus does, without needing curl.
#pragma once

#include <string>

namespace railwright::telemetry {

// The whole answer, headers included; empty when nothing listens on 127.0.0.1:port.
std::string scrape(int port, const std::string& path);

}  // namespace railwright::telemetry
