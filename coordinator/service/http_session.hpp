// One connection that speaks HTTP: requests in, answers out, limits and time-outs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/service/api.hpp"
#include "coordinator/service/streams.hpp"

namespace railwright::coordinator {

struct HttpSession {
  std::function<std::optional<ApiAnswer>(const ApiRequest&)> answer;  // nothing: hang up
  std::function<void(std::string_view reason)> refuse;
  std::string from;
};

// `buffer` holds what was read of it already. Ends with the connection.
boost::asio::awaitable<void> talk_http(PlainStream& stream, boost::beast::flat_buffer buffer,
                                       const HttpSession& session);
boost::asio::awaitable<void> talk_http(TlsStream& stream, boost::beast::flat_buffer buffer,
                                       const HttpSession& session);

}  // namespace railwright::coordinator
