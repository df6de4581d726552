#include "coordinator/service/client.hpp"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <optional>

#include "coordinator/service/access.hpp"

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

http::request<http::string_body> request_of(const Address& address, const std::string& method,
                                            const std::string& target, const std::string& body,
                                            const std::string& token) {
  http::request<http::string_body> request(http::string_to_verb(method), target, 11);
  request.set(http::field::host, fmt::format("{}:{}", address.host, address.port));
  request.set(http::field::content_type, "application/json");
  if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
  request.keep_alive(false);
  request.body() = body;
  request.prepare_payload();
  return request;
}

// Each step runs the loop to its end, so that the stream's deadline counts for all of them.
class Exchange {
 public:
  explicit Exchange(const Address& place) : place_(place), stream_(context_) {}

  void connect() {
    asio::ip::tcp::resolver resolver(context_);
    const auto found = resolver.resolve(place_.host, std::to_string(place_.port), error_);
    stream_.expires_after(std::chrono::seconds(10));
    step([&](auto done) { stream_.async_connect(found, done); });
  }
  void secure(const wire::TlsContext& tls) {
    secured_.emplace(stream_, *tls);
    SSL_set_tlsext_host_name(secured_->native_handle(), place_.host.c_str());
    secured_->set_verify_callback(asio::ssl::host_name_verification(place_.host));
    step([&](auto done) { secured_->async_handshake(asio::ssl::stream_base::client, done); });
  }
  void ask(const http::request<http::string_body>& request) {
    secured_ ? ask_over(*secured_, request) : ask_over(stream_, request);
  }
  const error_code& error() const { return error_; }
  HttpAnswer answer() const {
    return {static_cast<int>(parser_.get().result_int()), parser_.get().body()};
  }

 private:
  template <class Begin>
  void step(Begin&& begin) {
    if (error_) return;
    context_.restart();
    begin([this](error_code said, auto&&...) { error_ = said; });
    context_.run();
  }
  template <class Stream>
  void ask_over(Stream& stream, const http::request<http::string_body>& request) {
    parser_.body_limit(256 << 20);
    beast::flat_buffer buffer;
    step([&](auto done) { http::async_write(stream, request, done); });
    step([&](auto done) { http::async_read(stream, buffer, parser_, done); });
  }

  Address place_;
  asio::io_context context_;
  beast::tcp_stream stream_;
  std::optional<beast::ssl_stream<beast::tcp_stream&>> secured_;
  http::response_parser<http::string_body> parser_;
  error_code error_;
};

}  // namespace

std::optional<Errors> fault_of(const Access& access) {
  if (const auto place = parse_address(access.address); !place) return place.error();
  if (!access.tls.on()) return {};
  if (const auto tls = wire::client_tls(access.tls); !tls) return tls.error();
  return {};
}

Result<HttpAnswer> ask_coordinator(const Access& access, const std::string& method,
                                   const std::string& target, const std::string& body) {
  const auto place = parse_address(access.address);
  if (!place) return tl::unexpected(place.error());
  Exchange exchange(*place);
  exchange.connect();
  if (access.tls.on()) {
    const auto tls = wire::client_tls(access.tls);
    if (!tls) return tl::unexpected(tls.error());
    exchange.secure(*tls);
  }
  exchange.ask(request_of(*place, method, target, body, access.token));
  if (!exchange.error()) return exchange.answer();
  const bool secret = exchange.error().category() == asio::error::get_ssl_category();
  return failure(
      {},
      fmt::format("no coordinator answers at {}: {}", access.address, exchange.error().message()),
      secret ? "give the --ca that signed its certificate, and --cert and --key where it asks"
             : "start one with railwright coordinator, or say --coordinator HOST:PORT");
}

}  // namespace railwright::coordinator
