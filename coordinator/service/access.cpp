#include "coordinator/service/access.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

namespace {

std::optional<Role> role_of(const std::string& name) {
  if (name == "read") return Role::read;
  if (name == "submit") return Role::submit;
  if (name == "admin") return Role::admin;
  return std::nullopt;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "127.0.0.1";
}

}  // namespace

Result<std::vector<Token>> load_tokens(const std::string& path) {
  struct stat about {};
  const auto text = read_file(path);
  if (!text || stat(path.c_str(), &about) != 0)
    return failure({path}, "cannot be read", "write lines of ROLE OWNER SECRET");
  if ((about.st_mode & 0077) != 0)
    return failure({path}, "can be read or written by others", "chmod 600 it");
  std::vector<Token> tokens;
  Errors errors;
  std::istringstream lines(*text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string role, more;
    Token token;
    if (!(words >> role)) continue;
    words >> token.owner >> token.secret;
    const auto known = role_of(role);
    if (!known || token.secret.size() < 16 || words >> more)
      errors.push_back(
          {{path, number, 1},
           "is no token",
           "write read, submit or admin, an owner, and a secret of 16 letters or more"});
    const auto same = [&](const Token& other) { return other.secret == token.secret; };
    if (!token.secret.empty() && std::ranges::any_of(tokens, same))
      errors.push_back({{path, number, 1},
                        fmt::format("gives {} the secret of a line above", token.owner),
                        "give each line a secret of its own"});
    token.role = known.value_or(Role::none);
    tokens.push_back(token);
  }
  if (tokens.empty()) errors.push_back({{path}, "holds no token", "write ROLE OWNER SECRET"});
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return tokens;
}

Caller caller_of(const std::vector<Token>& tokens, const std::string& authorization) {
  if (tokens.empty()) return {Role::admin, "local"};
  const std::string scheme = "Bearer ";
  if (!authorization.starts_with(scheme)) return {};
  const std::string secret = authorization.substr(scheme.size());
  Caller caller;
  for (const Token& token : tokens)
    if (same_secret(token.secret, secret)) caller = {token.role, token.owner};
  return caller;
}

Result<Address> parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos) {
    address.host = text.substr(0, colon);
    if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']')
      address.host = address.host.substr(1, address.host.size() - 2);
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    const bool port = error == std::errc{} && stop == end && address.port >= 0;
    if (port && address.port < 65536 && !address.host.empty()) return address;
  }
  return failure({}, fmt::format("'{}' is no address", text), "write HOST:PORT, as 127.0.0.1:7777");
}

std::optional<ConfigError> why_not_listen(const Address& address, bool has_tokens, bool has_tls,
                                          bool insecure) {
  if (is_loopback(address.host) || insecure || (has_tokens && has_tls)) return std::nullopt;
  return ConfigError{
      {},
      fmt::format("--listen {} could be reached from other machines, and {}", address.host,
                  has_tls      ? "anybody could submit jobs"
                  : has_tokens ? "tokens would go over a line that others can read"
                               : "anybody could submit jobs over a line that others can read"),
      fmt::format("{}, listen on 127.0.0.1, or add --insecure",
                  has_tls      ? "add --tokens"
                  : has_tokens ? "add --tls-cert and --tls-key"
                               : "add --tokens, --tls-cert and --tls-key")};
}

}  // namespace railwright::coordinator
