#include "coordinator/service/client.hpp"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

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

}  // namespace

// Each step runs the loop to its end, so that the stream's deadline counts for all of them.
Result<HttpAnswer> ask_coordinator(const std::string& address, const std::string& method,
                                   const std::string& target, const std::string& body,
                                   const std::string& token) {
  const auto place = parse_address(address);
  if (!place) return tl::unexpected(place.error());
  asio::io_context context;
  beast::tcp_stream stream(context);
  error_code error;
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(place->host, std::to_string(place->port), error);
  const auto finish = [&](error_code said, auto&&...) { error = said; };
  const auto step = [&](auto&& begin) {
    if (error) return;
    context.restart();
    begin();
    context.run();
  };
  http::request<http::string_body> request = request_of(*place, method, target, body, token);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(256 << 20);
  stream.expires_after(std::chrono::seconds(10));
  step([&] { stream.async_connect(found, finish); });
  step([&] { http::async_write(stream, request, finish); });
  step([&] { http::async_read(stream, buffer, parser, finish); });
  if (error)
    return failure({}, fmt::format("no coordinator answers at {}: {}", address, error.message()),
                   "start one with railwright coordinator, or say --coordinator HOST:PORT");
  return HttpAnswer{static_cast<int>(parser.get().result_int()), parser.get().body()};
}

}  // namespace railwright::coordinator
