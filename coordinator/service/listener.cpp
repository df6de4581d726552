#include "coordinator/service/listener.hpp"

#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <memory>
#include <utility>

#include "coordinator/service/http_session.hpp"
#include "coordinator/service/leader_session.hpp"

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr int most_strangers = 2'000;  // connections that are no leader's
constexpr std::uint8_t tls_byte = 22;  // of a handshake record

std::uint8_t first_byte(const beast::flat_buffer& buffer) {
  return *static_cast<const std::uint8_t*>(buffer.data().data());
}

class Listener {
 public:
  Listener(asio::io_context& context, tcp::acceptor acceptor, Service service)
      : context_(context), acceptor_(std::move(acceptor)), service_(std::move(service)) {}

  static asio::awaitable<void> run(std::shared_ptr<Listener> self) { co_await self->accept(); }

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      error_code error;
      tcp::socket socket =
          co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) co_return;
      if (error || connections_ - service_.traffic.leaders >= most_strangers) {
        // Out of descriptors, for example: others must close theirs first.
        service_.traffic.refuse(Protocol::http, "busy", error ? error.message() : from(socket));
        socket.close(error);
        asio::steady_timer pause(context_, std::chrono::milliseconds(20));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      socket.set_option(tcp::no_delay(true), error);
      ++connections_;
      std::string client = from(socket);
      asio::co_spawn(context_, greet(std::move(socket), std::move(client)),
                     [this](std::exception_ptr) { --connections_; });
    }
  }

  static std::string from(const tcp::socket& socket) {
    error_code ignored;
    const tcp::endpoint peer = socket.remote_endpoint(ignored);
    return fmt::format("{}:{}", peer.address().to_string(), peer.port());
  }

  void refuse(const std::string& client, std::string_view reason) {
    service_.traffic.refuse(Protocol::http, reason, client);
  }

  // False: it said nothing.
  template <class Stream>
  asio::awaitable<bool> first_words(Stream& stream, beast::flat_buffer& buffer,
                                    const std::string& client) {
    beast::get_lowest_layer(stream).expires_after(patience);
    error_code error;
    buffer.commit(co_await stream.async_read_some(
        buffer.prepare(512), asio::redirect_error(asio::use_awaitable, error)));
    if (error == beast::error::timeout) refuse(client, "slow");
    co_return !error;
  }

  // `client`: its address, which a closed socket does not tell any more.
  asio::awaitable<void> greet(tcp::socket socket, std::string client) {
    PlainStream stream(std::move(socket));
    beast::flat_buffer buffer;
    if (!co_await first_words(stream, buffer, client)) co_return;
    const bool secret = first_byte(buffer) == tls_byte;
    if (secret && !service_.tls) {
      refuse(client, "tls");
    } else if (secret) {
      co_await shake_hands(TlsStream(std::move(stream), *service_.tls), std::move(buffer), client);
    } else if (service_.tls) {
      co_await refuse_plain(stream, std::move(buffer), client);
    } else if (first_byte(buffer) == wire::first_byte) {
      co_await talk_frames(std::move(stream), std::move(buffer), leader_session());
    } else {
      const HttpSession session = http_session(client);
      co_await talk_http(stream, std::move(buffer), session);
    }
  }

  asio::awaitable<void> shake_hands(TlsStream stream, beast::flat_buffer buffer,
                                    std::string client) {
    beast::get_lowest_layer(stream).expires_after(patience);
    error_code error;
    co_await stream.async_handshake(asio::ssl::stream_base::server, buffer.data(),
                                    asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return refuse(client, "handshake");
    buffer.clear();
    if (!co_await first_words(stream, buffer, client)) co_return;
    if (first_byte(buffer) == wire::first_byte) {
      co_await talk_frames(std::move(stream), std::move(buffer), leader_session());
      co_return;
    }
    HttpSession session = http_session(client);
    const bool shown = SSL_get0_peer_certificate(stream.native_handle()) != nullptr;
    if (service_.certificates && !shown)
      session.answer = refusing("certificate", session.from,
                                "this coordinator asks clients for a certificate: --cert, --key");
    co_await talk_http(stream, std::move(buffer), session);
  }

  asio::awaitable<void> refuse_plain(PlainStream& stream, beast::flat_buffer buffer,
                                     std::string client) {
    if (first_byte(buffer) == wire::first_byte) {
      service_.traffic.refuse(Protocol::frames, "plain", client);
      co_return;
    }
    HttpSession session = http_session(client);
    session.answer = refusing("plain", session.from, "this coordinator speaks TLS: give --ca");
    co_await talk_http(stream, std::move(buffer), session);
  }

  std::function<std::optional<ApiAnswer>(const ApiRequest&)> refusing(std::string reason,
                                                                      std::string client,
                                                                      std::string words) {
    return [this, reason = std::move(reason), client = std::move(client),
            words = std::move(words)](const ApiRequest&) -> std::optional<ApiAnswer> {
      service_.traffic.refuse(Protocol::http, reason, client);
      return ApiAnswer{403, Json({{"error", words}}).dump() + "\n"};
    };
  }

  HttpSession http_session(std::string client) {
    HttpSession session;
    session.from = std::move(client);
    session.refuse = [this, client = session.from](std::string_view reason) {
      service_.traffic.refuse(Protocol::http, reason, client);
    };
    session.answer = [this](const ApiRequest& request) -> std::optional<ApiAnswer> {
      auto answered = service_.api.answer(request);
      if (answered) return std::move(*answered);
      service_.fail(answered.error());
      return std::nullopt;
    };
    return session;
  }

  LeaderSession leader_session() { return {service_.leaders, service_.traffic, service_.fail}; }

  asio::io_context& context_;
  tcp::acceptor acceptor_;
  Service service_;
  int connections_ = 0;
};

}  // namespace

void listen(asio::io_context& context, tcp::acceptor acceptor, Service service) {
  auto listener = std::make_shared<Listener>(context, std::move(acceptor), std::move(service));
  asio::co_spawn(context, Listener::run(std::move(listener)), asio::detached);
}

}  // namespace railwright::coordinator
