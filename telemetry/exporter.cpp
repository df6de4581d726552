#include <CivetServer.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <functional>
#include <mutex>

#include "telemetry/families.hpp"
#include "telemetry/telemetry.hpp"

namespace railwright::telemetry {
namespace {

// The latest snapshot. Every scrape builds fresh families from it: nothing is changed while read.
class Latest {
 public:
  void publish(Snapshot snapshot) {
    auto fresh = std::make_shared<const Snapshot>(std::move(snapshot));
    const std::lock_guard lock(mutex_);
    latest_ = std::move(fresh);
  }
  std::shared_ptr<const Snapshot> get() const {
    const std::lock_guard lock(mutex_);
    return latest_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> latest_ = std::make_shared<const Snapshot>();
};

// Answers GET with a text that is made anew each time.
class Page : public CivetHandler {
 public:
  Page(std::string type, std::function<std::string()> text)
      : type_(std::move(type)), text_(std::move(text)) {}
  bool handleGet(CivetServer*, mg_connection* connection) override {
    const std::string text = text_();
    const std::string head = fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        type_, text.size());
    mg_write(connection, head.data(), head.size());
    mg_write(connection, text.data(), text.size());
    return true;
  }

 private:
  std::string type_;
  std::function<std::string()> text_;
};

struct Endpoint {
  std::string host;
  std::string port;
};

tl::unexpected<Errors> refused(const std::string& address, const std::string& why,
                               const std::string& hint) {
  return failure({}, fmt::format("address {} {}", address, why), hint);
}

Result<Endpoint> parse_address(const std::string& address) {
  const auto malformed = [&] {
    return failure({}, fmt::format("'{}' is no address to listen on", address),
                   "write host:port, as in 127.0.0.1:9400; port 0 takes a free one");
  };
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return malformed();
  const std::string port = address.substr(colon + 1);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc{} || end != port.data() + port.size()) return malformed();
  return Endpoint{address.substr(0, colon), port};
}

// The web server only says that it could not start; binding first tells why. Returns the numeric
// address.
Result<std::string> try_bind(const Endpoint& endpoint, const std::string& address) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found) != 0)
    return refused(address, "has no IPv4 host of that name", "write 127.0.0.1:9400");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  const int handle = socket(AF_INET, SOCK_STREAM, 0);
  const int reuse = 1;
  setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  const bool bound = bind(handle, found->ai_addr, found->ai_addrlen) == 0;
  const int error = errno;
  close(handle);
  if (!bound && error == EADDRINUSE)
    return refused(address, "is in use", "choose another port; port 0 takes a free one");
  if (!bound) return refused(address, fmt::format("cannot be used: {}", std::strerror(error)), "");
  char text[NI_MAXHOST] = {};
  getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return std::string(text) + ":" + endpoint.port;
}

}  // namespace

struct Exporter::State {
  Latest latest;
  std::string host;
  Page metrics{"text/plain; version=0.0.4; charset=utf-8",
               [this] { return render(*latest.get()); }};
  Page targets{"application/json", [this] { return target_list(); }};
  // Declared last, so that it stops serving before what it serves goes away.
  std::unique_ptr<CivetServer> server;

  int port() const { return server->getListeningPorts().front(); }
  // One exporter speaks for all emulated ranks.
  std::string target_list() const {
    return fmt::format("[{{\"targets\":[\"{}:{}\"],\"labels\":{{}}}}]\n", host, port());
  }
};

Exporter::Exporter(std::unique_ptr<State> state) : state_(std::move(state)) {}
Exporter::~Exporter() = default;

Result<std::unique_ptr<Exporter>> Exporter::listen(const std::string& address) {
  const Result<Endpoint> endpoint = parse_address(address);
  if (!endpoint) return tl::unexpected(endpoint.error());
  const Result<std::string> numeric = try_bind(*endpoint, address);
  if (!numeric) return tl::unexpected(numeric.error());
  auto state = std::make_unique<State>();
  state->host = endpoint->host;
  try {
    state->server = std::make_unique<CivetServer>(std::vector<std::string>{
        "listening_ports", *numeric, "num_threads", "2", "enable_directory_listing", "no"});
  } catch (const CivetException& error) {
    return refused(address, fmt::format("cannot be served: {}", error.what()),
                   "choose another port");
  }
  state->server->addHandler("/metrics", state->metrics);
  state->server->addHandler("/sd", state->targets);
  return std::unique_ptr<Exporter>(new Exporter(std::move(state)));
}

void Exporter::publish(Snapshot snapshot) { state_->latest.publish(std::move(snapshot)); }

int Exporter::port() const { return state_->port(); }

std::string Exporter::text() const { return render(*state_->latest.get()); }

}  // namespace railwright::telemetry
