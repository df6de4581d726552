#include "coordinator/collective/group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <utility>

namespace railwright::coordinator {
namespace {

using topology::AcceleratorId;
using topology::Cluster;
using Members = std::vector<AcceleratorId>;

constexpr const char* forms = "write nodes=0-3, ranks=0-7,16, local=0 or stride=8";

struct Interval {
  int first = 0, last = 0;
  bool holds(int value) const { return first <= value && value <= last; }
};

// Both ends included; empty: all. Ascending and apart, but `ranks` in the order written.
struct Filter {
  std::vector<Interval> nodes, locals, ranks;
  int stride = 1;
};

bool holds(const std::vector<Interval>& intervals, int value) {
  return intervals.empty() ||
         std::ranges::any_of(intervals, [&](const Interval& i) { return i.holds(value); });
}

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return {};
  return value;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find(at, from), text.size());
    parts.emplace_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

class Reader {
 public:
  Reader(const Cluster& cluster, Errors& errors) : cluster_(cluster), errors_(errors) {
    for (const topology::NodeGroup& nodes : cluster.spec.nodes)
      largest_node_ = std::max(largest_node_, nodes.accelerators);
  }

  Filter read(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
      key_.clear();
      for (const std::string& item : split(word, ',')) read_item(item);
    }
    refuse_overlaps("nodes", filter_.nodes);
    refuse_overlaps("local", filter_.locals);
    refuse_overlaps("ranks", filter_.ranks);
    return filter_;
  }

 private:
  void refuse(const std::string& message, const std::string& hint) {
    errors_.push_back({{}, "--group: " + message, hint});
  }

  // "nodes=0-3" starts a list that "7" goes on with.
  void read_item(const std::string& item) {
    const std::size_t equals = item.find('=');
    if (equals != std::string::npos) key_ = item.substr(0, equals);
    const std::string value = equals == std::string::npos ? item : item.substr(equals + 1);
    if (key_ == "nodes")
      read_interval(value, cluster_.nodes(), "nodes", filter_.nodes);
    else if (key_ == "local")
      read_interval(value, largest_node_, "accelerators of a node", filter_.locals);
    else if (key_ == "ranks")
      read_interval(value, cluster_.accelerators(), "accelerators", filter_.ranks);
    else if (key_ == "stride")
      read_stride(value);
    else
      refuse(fmt::format("'{}' says nothing about a group", item), forms);
  }

  void read_stride(const std::string& value) {
    const auto stride = whole_number(value);
    if (!stride || *stride < 1)
      return refuse(fmt::format("stride '{}' is no step", value), "write stride=8 for every 8th");
    filter_.stride = *stride;
  }

  void read_interval(const std::string& text, int count, std::string_view of,
                     std::vector<Interval>& intervals) {
    const std::vector<std::string> ends = split(text, '-');
    const auto first = whole_number(ends.front()), last = whole_number(ends.back());
    if (!first || !last || ends.size() > 2)
      return refuse(fmt::format("{}: '{}' is no number or range", key_, text),
                    "write 3, 0-3 or 0-3,7");
    if (*last < *first)
      return refuse(fmt::format("{}: the range {} runs backwards", key_, text),
                    fmt::format("write {}-{}", *last, *first));
    if (*last >= count)
      return refuse(
          fmt::format("{}: {} is out of range", key_, *last),
          fmt::format("the {} of {} count from 0 to {}", of, cluster_.spec.name, count - 1));
    intervals.push_back({*first, *last});
  }

  void refuse_overlaps(const std::string& key, std::vector<Interval> intervals) {
    std::ranges::sort(intervals, {}, &Interval::first);
    for (std::size_t i = 1; i < intervals.size(); ++i)
      if (intervals[i].first <= intervals[i - 1].last)
        return refuse(fmt::format("{}: {} is named twice", key, intervals[i].first),
                      "name each once");
  }

  const Cluster& cluster_;
  Errors& errors_;
  int largest_node_ = 0;
  Filter filter_;
  std::string key_;  // of the list that an item without one goes on with
};

Members chosen(const Filter& filter, const Cluster& cluster) {
  std::vector<Interval> ranks = filter.ranks;
  if (ranks.empty()) ranks = {{0, cluster.accelerators() - 1}};
  const bool anywhere = filter.nodes.empty() && filter.locals.empty();
  Members members;
  std::int64_t passed = 0;
  for (const Interval& interval : ranks)
    for (int i = interval.first; i <= interval.last; ++i) {
      if (!anywhere) {
        const int node = cluster.node_of({i});
        const int local = i - cluster.first_of_node(node).index;
        if (!holds(filter.nodes, node) || !holds(filter.locals, local)) continue;
      }
      if (passed++ % filter.stride == 0) members.push_back({i});
    }
  return members;
}

Result<Members> first_of(Members members, std::optional<int> wanted, bool grouped,
                         const Cluster& cluster) {
  const auto all = static_cast<int>(members.size());
  const int ranks = wanted.value_or(all);
  if (ranks >= 2 && ranks <= all) {
    members.resize(static_cast<std::size_t>(ranks));
    return members;
  }
  const std::string of =
      grouped ? fmt::format("in a group of {}", all)
              : fmt::format("on a cluster of {} accelerators", cluster.accelerators());
  return failure({}, fmt::format("--ranks: {} ranks {}", ranks, of),
                 all < 2 ? "a collective needs two" : fmt::format("write 2 to {}", all));
}

}  // namespace

Result<Members> members_of(const std::vector<std::string>& group, std::optional<int> ranks,
                           const Cluster& cluster) {
  Errors errors;
  const Filter filter = Reader(cluster, errors).read(group);
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  Members members = chosen(filter, cluster);
  if (!group.empty() && members.size() < 2)
    return failure({},
                   fmt::format("--group: {} {} of the {} accelerators of {}", fmt::join(group, " "),
                               members.empty() ? "leaves none" : "leaves only one",
                               cluster.accelerators(), cluster.spec.name),
                   "a collective needs two; " + std::string(forms));
  return first_of(std::move(members), ranks, !group.empty(), cluster);
}

tl::expected<std::optional<std::uint64_t>, ConfigError> parse_placement(std::string_view text) {
  if (text == "given") return std::nullopt;
  if (text == "random") return 1;
  constexpr std::string_view random = "random:";
  std::uint64_t seed = 0;
  const char* const end = text.data() + text.size();
  if (text.starts_with(random))
    if (const auto [rest, error] = std::from_chars(text.data() + random.size(), end, seed);
        error == std::errc{} && rest == end)
      return seed;
  return tl::unexpected(ConfigError{
      {}, fmt::format("'{}' is no order of the ranks", text), "write given, random or random:7"});
}

void shuffle(Members& members, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = members.size(); i > 1; --i) std::swap(members[i - 1], members[random() % i]);
}

}  // namespace railwright::coordinator
