// Takes connections and hands them on by their first byte: TLS (16), a leader's frames (F7), or
// HTTP, which is what everything else is read as.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>

#include "coordinator/service/api.hpp"
#include "coordinator/wire/tls.hpp"

namespace railwright::coordinator {

struct Service {
  Api& api;
  Leaders& leaders;
  Traffic& traffic;
  wire::TlsContext tls;       // none: the listener speaks plain
  bool certificates = false;  // HTTP clients must show one
  std::function<void(const Errors&)> fail;
};

// Until the context is stopped.
void listen(boost::asio::io_context& context, boost::asio::ip::tcp::acceptor acceptor,
            Service service);

}  // namespace railwright::coordinator
