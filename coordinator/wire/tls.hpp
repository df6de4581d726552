// TLS for both ends: 1.2 or newer, certificates from PEM files.
#pragma once

#include <memory>
#include <string>

#include "topology/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace railwright::coordinator::wire {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

struct ServerTls {
  std::string certificate, key;  // the certificate, then those between it and the CA
  std::string client_ca;         // whose clients may ask; "": all may
  bool on() const { return !certificate.empty(); }
};
// A client that shows a certificate must show a valid one; whether it must show one is asked
// later, as leaders prove who they are by the token of their launch.
Result<TlsContext> server_tls(const ServerTls& settings);

struct ClientTls {
  std::string ca;                // whose servers are believed
  std::string certificate, key;  // of the client, where it is asked for one
  bool pinned = false;  // `ca` is the server's own certificate, whatever its host is called
  bool on() const { return !ca.empty(); }
};
Result<TlsContext> client_tls(const ClientTls& settings);

}  // namespace railwright::coordinator::wire
