#include "coordinator/service/http_session.hpp"

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <type_traits>
#include <utility>

#include "coordinator/service/http_request.hpp"

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

http::response<http::string_body> response_of(ApiAnswer answer, bool keep) {
  http::response<http::string_body> response(
      static_cast<http::status>(static_cast<unsigned>(answer.status)), 11);
  response.set(http::field::content_type, answer.content_type);
  response.set("X-Content-Type-Options", "nosniff");
  response.keep_alive(keep);
  response.body() = std::move(answer.body);
  response.prepare_payload();
  return response;
}

// Closing on bytes that nobody has read would take the answer away from who still sends.
template <class Stream>
asio::awaitable<void> drain(Stream& stream) {
  std::array<char, 16384> bytes;
  error_code error;
  for (std::uint64_t read = 0; !error && read < 4 * largest_body;)
    read += co_await stream.async_read_some(asio::buffer(bytes),
                                            asio::redirect_error(asio::use_awaitable, error));
}

template <class Stream>
asio::awaitable<void> hang_up(Stream& stream, bool refused) {
  error_code error;
  if (refused) {
    beast::get_lowest_layer(stream).socket().shutdown(asio::socket_base::shutdown_send, error);
    co_await drain(beast::get_lowest_layer(stream));
  } else if constexpr (std::is_same_v<Stream, TlsStream>) {
    co_await stream.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
  }
  beast::get_lowest_layer(stream).socket().shutdown(asio::socket_base::shutdown_both, error);
}

template <class Stream>
asio::awaitable<void> talk(Stream& stream, beast::flat_buffer buffer, const HttpSession& session) {
  bool refused = false;
  for (bool keep = true; keep;) {
    RequestParser parser;
    set_limits(parser);
    beast::get_lowest_layer(stream).expires_after(patience);
    error_code error;
    co_await http::async_read(stream, buffer, parser,
                              asio::redirect_error(asio::use_awaitable, error));
    const bool quiet = error == http::error::end_of_stream || error == beast::error::timeout;
    if (error && buffer.size() == 0 && quiet && !parser.got_some()) break;
    ApiAnswer answer;
    if (error) {
      const HttpRefusal refusal = refusal_of(error);
      session.refuse(refusal.reason);
      answer = {refusal.status, Json({{"error", "no request: " + error.message()}}).dump() + "\n"};
      keep = false;
      refused = true;
    } else {
      ApiRequest request = request_of(parser.get());
      request.from = session.from;
      auto answered = session.answer(request);
      if (!answered) co_return;
      answer = std::move(*answered);
      keep = parser.get().keep_alive();
    }
    const auto response = response_of(std::move(answer), keep);
    beast::get_lowest_layer(stream).expires_after(patience);
    co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
    if (error) break;
  }
  co_await hang_up(stream, refused);
}

}  // namespace

asio::awaitable<void> talk_http(PlainStream& stream, beast::flat_buffer buffer,
                                const HttpSession& session) {
  return talk(stream, std::move(buffer), session);
}

asio::awaitable<void> talk_http(TlsStream& stream, beast::flat_buffer buffer,
                                const HttpSession& session) {
  return talk(stream, std::move(buffer), session);
}

}  // namespace railwright::coordinator
