#include "coordinator/service/http_request.hpp"

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>

namespace railwright::coordinator {

namespace beast = boost::beast;
namespace http = beast::http;

void set_limits(RequestParser& parser) {
  parser.body_limit(largest_body);
  parser.header_limit(16 << 10);
}

ApiRequest request_of(const RequestParser::value_type& request) {
  const auto field = [&](http::field name) { return std::string(request[name]); };
  return {std::string(request.method_string()),
          std::string(request.target()),
          request.body(),
          field(http::field::authorization),
          field(http::field::content_type),
          field(http::field::origin),
          {}};
}

HttpRefusal refusal_of(const boost::system::error_code& error) {
  if (error == http::error::body_limit || error == http::error::header_limit)
    return {413, "too_large"};
  if (error == beast::error::timeout) return {408, "slow"};
  return {};
}

}  // namespace railwright::coordinator
