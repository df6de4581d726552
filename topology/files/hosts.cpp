#include <fmt/format.h>

#include <charconv>

#include "topology/files/parts.hpp"

namespace railwright::topology {
namespace {

constexpr std::size_t max_hosts = std::size_t{1} << 22;

tl::unexpected<ConfigError> bad_hosts(std::string message) {
  return tl::unexpected<ConfigError>(
      ConfigError{{}, std::move(message), "write ranges as Slurm does: 'gpu[001-004,007]'"});
}

// "001-004,7" -> 001 002 003 004 7; zeros in front of the low end set the width.
Parsed<std::vector<std::string>> expand_ranges(std::string_view text) {
  std::vector<std::string> out;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    more = comma != std::string_view::npos;
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(more ? comma + 1 : text.size());
    const std::string_view low_text = part.substr(0, part.find('-'));
    const std::string_view high_text =
        low_text.size() == part.size() ? low_text : part.substr(low_text.size() + 1);
    std::uint32_t low = 0, high = 0;
    const auto read = [](std::string_view digits, std::uint32_t& value) {
      const char* end = digits.data() + digits.size();
      const auto [stop, error] = std::from_chars(digits.data(), end, value);
      return error == std::errc() && stop == end;
    };
    if (!read(low_text, low) || !read(high_text, high))
      return bad_hosts(fmt::format("bad host range '[{}]'", part.substr(0, 40)));
    if (high < low) return bad_hosts(fmt::format("host range '[{}]' runs backwards", part));
    if (low_text.size() > 20 || high - low >= max_hosts - out.size())
      return bad_hosts(fmt::format("host range '[{}]' is too long", part.substr(0, 40)));
    for (std::uint32_t i = 0; i <= high - low; ++i)
      out.push_back(fmt::format("{:0{}}", low + i, low_text.size()));
  }
  return out;
}

// One entry of a list, with any number of brackets: the later ones run faster.
Parsed<std::vector<std::string>> expand_entry(std::string_view text) {
  std::vector<std::string> out{""};
  while (!text.empty()) {
    const std::size_t open = text.find('['), close = text.find(']');
    std::vector<std::string> suffixes{""};
    const std::string_view literal = text.substr(0, std::min(open, close));
    if (close < open) return bad_hosts("']' without '['");
    if (open != std::string_view::npos) {
      if (close == std::string_view::npos) return bad_hosts("'[' without ']'");
      auto ranges = expand_ranges(text.substr(open + 1, close - open - 1));
      if (!ranges) return ranges;
      suffixes = std::move(*ranges);
    }
    if (out.size() * suffixes.size() > max_hosts) return bad_hosts("more than 4 million hosts");
    std::vector<std::string> longer;
    for (const std::string& prefix : out)
      for (const std::string& suffix : suffixes)
        longer.push_back(prefix + std::string(literal) + suffix);
    out = std::move(longer);
    text.remove_prefix(close == std::string_view::npos ? text.size() : close + 1);
  }
  return out;
}

}  // namespace

Parsed<std::vector<std::string>> expand_hosts(std::string_view text) {
  std::vector<std::string> out;
  std::size_t start = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) depth += (text[i] == '[') - (text[i] == ']');
    if (i < text.size() && (text[i] != ',' || depth > 0)) continue;
    auto hosts = expand_entry(text.substr(start, i - start));
    if (!hosts) return hosts;
    if (out.size() + hosts->size() > max_hosts) return bad_hosts("more than 4 million hosts");
    for (std::string& host : *hosts) {
      if (!is_name(host)) return bad_hosts(fmt::format("'{}' is no host name", host.substr(0, 40)));
      out.push_back(std::move(host));
    }
    start = i + 1;
  }
  return out;
}

}  // namespace railwright::topology
