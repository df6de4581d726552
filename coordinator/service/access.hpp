// Who may do what, and where the service may listen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "topology/result.hpp"

namespace railwright::coordinator {

enum class Role : std::uint8_t { none, read, submit, admin };

struct Token {
  Role role = Role::none;
  std::string owner, secret;
};

// Lines "ROLE OWNER SECRET"; '#' begins a comment. Only its user may read or write the file.
Result<std::vector<Token>> load_tokens(const std::string& path);

struct Caller {
  Role role = Role::none;
  std::string owner;
};
// Without tokens everybody who reaches us is `admin`: that is the loopback.
Caller caller_of(const std::vector<Token>& tokens, const std::string& authorization);

struct Address {
  std::string host;
  int port = 0;
};
Result<Address> parse_address(const std::string& text);
// Why it may not listen there; nothing when it may: on the loopback, or with both, or when told.
std::optional<ConfigError> why_not_listen(const Address& address, bool has_tokens, bool has_tls,
                                          bool insecure);

}  // namespace railwright::coordinator
