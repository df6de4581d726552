#include "coordinator/service/server.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <iostream>
#include <optional>
#include <utility>

#include "coordinator/service/api.hpp"
#include "coordinator/service/files.hpp"
#include "coordinator/service/listener.hpp"

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;

// The clock, the children and the signals of the service, beside its listener.
class Server {
 public:
  Server(asio::io_context& context, Dispatch& dispatch, const ServerSettings& settings,
         const std::string& place)
      : context_(context),
        dispatch_(dispatch),
        leaders_(dispatch, traffic_),
        api_(dispatch, leaders_, traffic_, settings.tokens, place),
        signals_(context, SIGINT, SIGTERM),
        children_(context, SIGCHLD),
        timer_(context) {}

  std::optional<Errors> run(tcp::acceptor acceptor, wire::TlsContext tls, bool certificates) {
    signals_.async_wait([this](error_code, int) { context_.stop(); });
    wait_for_children();
    tick();
    const auto fail = [this](const Errors& errors) { fail_if(tl::unexpected(errors)); };
    listen(context_, std::move(acceptor),
           {api_, leaders_, traffic_, std::move(tls), certificates, fail});
    context_.run();
    return failed_;
  }

 private:
  // The store has failed: nothing may be promised any more.
  bool fail_if(const Result<void>& result) {
    if (result) return false;
    failed_ = result.error();
    context_.stop();
    return true;
  }

  void tick() {
    if (fail_if(dispatch_.tick())) return;
    timer_.expires_after(std::chrono::milliseconds(500));
    timer_.async_wait([this](error_code error) {
      if (!error) tick();
    });
  }

  void wait_for_children() {
    children_.async_wait([this](error_code error, int) {
      if (error || fail_if(dispatch_.tick())) return;
      wait_for_children();
    });
  }

  asio::io_context& context_;
  Dispatch& dispatch_;
  Traffic traffic_;
  Leaders leaders_;
  Api api_;
  asio::signal_set signals_, children_;
  asio::steady_timer timer_;
  std::optional<Errors> failed_;
};

Result<tcp::acceptor> bound(asio::io_context& context, const Address& address) {
  tcp::acceptor acceptor(context);
  error_code error;
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  const tcp::endpoint endpoint(asio::ip::make_address(host, error),
                               static_cast<unsigned short>(address.port));
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return failure(
        {}, fmt::format("cannot listen on {}:{}: {}", address.host, address.port, error.message()),
        "choose an address of this machine and a port that is free");
  return acceptor;
}

// A leader is a connection: as many as the machine allows.
void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The first certificate of a PEM file: no chain, and no key that may stand beside it.
std::string first_certificate(const std::string& pem) {
  const std::string_view begin = "-----BEGIN CERTIFICATE-----", end = "-----END CERTIFICATE-----";
  const std::size_t from = pem.find(begin);
  const std::size_t to = from == std::string::npos ? from : pem.find(end, from);
  return to == std::string::npos ? std::string() : pem.substr(from, to + end.size() - from) + "\n";
}

// What leaders need to find us; they believe this certificate and no other.
Result<void> tell_leaders(const ServerSettings& settings, const std::string& place) {
  const std::string pinned = settings.data + "/certificate.pem";
  if (!settings.tls.on()) {
    unlink(pinned.c_str());
  } else {
    const auto certificate = read_file(settings.tls.certificate);
    if (!certificate || !write_file(pinned, first_certificate(*certificate)))
      return failure({pinned}, "cannot be written", "make room");
  }
  if (!write_file(settings.data + "/address", place))
    return failure({settings.data + "/address"}, "cannot be written", "make room");
  return {};
}

}  // namespace

Result<void> can_listen(const Address& address) {
  asio::io_context context;
  const auto acceptor = bound(context, address);
  if (!acceptor) return tl::unexpected(acceptor.error());
  return {};
}

Result<void> serve_jobs(Dispatch& dispatch, const ServerSettings& settings) {
  raise_descriptor_limit();
  wire::TlsContext tls;
  if (settings.tls.on()) {
    auto made = wire::server_tls(settings.tls);
    if (!made) return tl::unexpected(made.error());
    tls = std::move(*made);
  }
  asio::io_context context(1);
  auto acceptor = bound(context, settings.address);
  if (!acceptor) return tl::unexpected(acceptor.error());
  const tcp::endpoint endpoint = acceptor->local_endpoint();
  const std::string host = endpoint.address().to_string();
  const std::string place =
      fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + host + "]" : host, endpoint.port());
  if (auto told = tell_leaders(settings, place); !told) return told;
  if (auto started = dispatch.start(); !started) return started;
  std::cerr << fmt::format("coordinator: {}://{}/api/v1/jobs until SIGINT\n",
                           tls ? "https" : "http", place);
  Server server(context, dispatch, settings, place);
  auto failed = server.run(std::move(*acceptor), tls, !settings.tls.client_ca.empty());
  if (failed) return tl::unexpected(std::move(*failed));
  return {};
}

}  // namespace railwright::coordinator
