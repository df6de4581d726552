// The connections of the listener: plain ones and those over TLS, and how long they may take.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <chrono>

namespace railwright::coordinator {

using PlainStream = boost::beast::tcp_stream;
using TlsStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;

inline constexpr auto patience = std::chrono::seconds(10);  // for a request, an answer, a word

}  // namespace railwright::coordinator
