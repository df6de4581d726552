// Bad input is normal: a returned value with the place, what was read and what to write instead.
// A broken invariant is our bug: assert, kept on in every build.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace railwright {

// A position in an input file; lines and columns count from 1, 0 means "the file as a whole".
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  bool operator==(const Place&) const = default;
};

struct ConfigError {
  Place place;
  std::string message;  // what is wrong
  std::string hint;     // what to write instead; may be empty
  bool operator==(const ConfigError&) const = default;
};

using Errors = std::vector<ConfigError>;

// All errors of a file at once, in the order of their places.
template <class T>
using Result = tl::expected<T, Errors>;

inline tl::unexpected<Errors> failure(Place place, std::string message, std::string hint = {}) {
  return tl::unexpected<Errors>(Errors{{std::move(place), std::move(message), std::move(hint)}});
}

// "cluster.yaml:12:16: error: link 'leaf0-spine1': unknown unit '50 GBps'; write '50 GB/s'"
std::string to_string(const ConfigError& error);
// The same with another word for "error": "warning".
std::string to_string(const ConfigError& error, std::string_view severity);
// One line per error.
std::string to_string(const Errors& errors);

}  // namespace railwright
