#include "coordinator/service/server.hpp"

#include <fmt/format.h>

#include <array>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <iostream>
#include <optional>
#include <utility>

#include "coordinator/service/api.hpp"
#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

constexpr auto patience = std::chrono::seconds(10);  // for a whole request, and for an answer
constexpr std::uint64_t largest_body = 4 << 20;      // models are texts of some kilobytes
constexpr std::uint32_t largest_header = 16 << 10;
constexpr int most_connections = 2'000;

class Server {
 public:
  Server(asio::io_context& context, Dispatch& dispatch, tcp::acceptor acceptor, Api api)
      : context_(context),
        dispatch_(dispatch),
        acceptor_(std::move(acceptor)),
        api_(std::move(api)),
        signals_(context, SIGINT, SIGTERM),
        children_(context, SIGCHLD),
        timer_(context) {}

  std::optional<Errors> run() {
    signals_.async_wait([this](error_code, int) { context_.stop(); });
    wait_for_children();
    tick();
    asio::co_spawn(context_, accept(), asio::detached);
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

  asio::awaitable<void> accept() {
    for (;;) {
      error_code error;
      tcp::socket socket =
          co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) co_return;
      if (error || connections_ >= most_connections) {
        // Out of descriptors, for example: others must close theirs first.
        api_.count_refused();
        asio::steady_timer pause(context_, std::chrono::milliseconds(20));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      ++connections_;
      asio::co_spawn(context_, converse(beast::tcp_stream(std::move(socket))),
                     [this](std::exception_ptr) { --connections_; });
    }
  }

  asio::awaitable<void> converse(beast::tcp_stream stream) {
    beast::flat_buffer buffer;
    bool refused = false;
    for (bool keep = true; keep;) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(largest_body);
      parser.header_limit(largest_header);
      stream.expires_after(patience);
      error_code error;
      co_await http::async_read(stream, buffer, parser,
                                asio::redirect_error(asio::use_awaitable, error));
      const bool quiet = error == http::error::end_of_stream || error == beast::error::timeout;
      if (error && buffer.size() == 0 && quiet && !parser.got_some()) break;
      ApiAnswer answer;
      if (error) {
        api_.count_refused();
        answer = refusal_of(error);
        keep = false;
        refused = true;
      } else {
        auto answered = api_.answer(request_of(parser.get()));
        if (fail_if(answered ? Result<void>{} : tl::unexpected(answered.error()))) co_return;
        answer = std::move(*answered);
        keep = parser.get().keep_alive();
      }
      auto response = response_of(std::move(answer), keep);
      stream.expires_after(patience);
      co_await http::async_write(stream, response,
                                 asio::redirect_error(asio::use_awaitable, error));
      if (error) break;
    }
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    if (refused) co_await drain(stream);
  }

  // Closing on bytes that nobody has read would take the answer away from who still sends.
  static asio::awaitable<void> drain(beast::tcp_stream& stream) {
    std::array<char, 16384> bytes;
    error_code error;
    for (std::uint64_t read = 0; !error && read < 4 * largest_body;)
      read += co_await stream.async_read_some(asio::buffer(bytes),
                                              asio::redirect_error(asio::use_awaitable, error));
  }

  static ApiAnswer refusal_of(const error_code& error) {
    const bool large = error == http::error::body_limit || error == http::error::header_limit;
    const bool slow = error == beast::error::timeout;
    return {large  ? 413
            : slow ? 408
                   : 400,
            Json({{"error", "no request: " + error.message()}}).dump() + "\n"};
  }

  static ApiRequest request_of(const http::request<http::string_body>& request) {
    const auto field = [&](http::field name) { return std::string(request[name]); };
    return {std::string(request.method_string()),
            std::string(request.target()),
            request.body(),
            field(http::field::authorization),
            field(http::field::content_type),
            field(http::field::origin)};
  }

  static http::response<http::string_body> response_of(ApiAnswer answer, bool keep) {
    http::response<http::string_body> response(
        static_cast<http::status>(static_cast<unsigned>(answer.status)), 11);
    response.set(http::field::content_type, answer.content_type);
    response.set("X-Content-Type-Options", "nosniff");
    response.keep_alive(keep);
    response.body() = std::move(answer.body);
    response.prepare_payload();
    return response;
  }

  asio::io_context& context_;
  Dispatch& dispatch_;
  tcp::acceptor acceptor_;
  Api api_;
  asio::signal_set signals_, children_;
  asio::steady_timer timer_;
  std::optional<Errors> failed_;
  int connections_ = 0;
};

}  // namespace

Result<void> serve_jobs(Dispatch& dispatch, const ServerSettings& settings) {
  asio::io_context context(1);
  tcp::acceptor acceptor(context);
  error_code error;
  const std::string host =
      settings.address.host == "localhost" ? "127.0.0.1" : settings.address.host;
  const auto ip = asio::ip::make_address(host, error);
  const tcp::endpoint endpoint(ip, static_cast<unsigned short>(settings.address.port));
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return failure({},
                   fmt::format("cannot listen on {}:{}: {}", settings.address.host,
                               settings.address.port, error.message()),
                   "choose an address of this machine and a port that is free");
  const std::string shown = ip.is_v6() ? "[" + host + "]" : host;
  const std::string place = fmt::format("{}:{}", shown, acceptor.local_endpoint().port());
  if (!write_file(settings.address_path, place))
    return failure({settings.address_path}, "cannot be written", "make room");
  if (auto started = dispatch.start(); !started) return started;
  std::cerr << fmt::format("coordinator: http://{}/api/v1/jobs until SIGINT\n", place);
  Server server(context, dispatch, std::move(acceptor), Api(dispatch, settings.tokens, place));
  if (auto failed = server.run()) return tl::unexpected(std::move(*failed));
  return {};
}

}  // namespace railwright::coordinator
