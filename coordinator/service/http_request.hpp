// An HTTP request as bytes, within limits.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>

#include "coordinator/service/api.hpp"

namespace railwright::coordinator {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

// Takes bodies up to 4 MiB (models are texts of some kilobytes) and headers up to 16 KiB.
void set_limits(RequestParser& parser);
inline constexpr std::uint64_t largest_body = 4 << 20;

ApiRequest request_of(const RequestParser::value_type& request);

struct HttpRefusal {
  int status = 400;
  std::string_view reason = "malformed";
};
HttpRefusal refusal_of(const boost::system::error_code& error);

}  // namespace railwright::coordinator
