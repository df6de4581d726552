// Degrees as text: "tp=8,pp=16,dp=128,micro_batch=1".
#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "topology/document.hpp"
#include "workload/degrees.hpp"

namespace railwright::workload {

namespace {

constexpr int largest_degree = 1 << 30;

using Word = std::string_view;
template <class T>
using Read = tl::expected<T, ConfigError>;

tl::unexpected<ConfigError> wrong(std::size_t offset, std::string message, std::string hint = {}) {
  return tl::unexpected<ConfigError>(
      {{"", 1, static_cast<int>(offset) + 1}, std::move(message), std::move(hint)});
}

Word trimmed(Word text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == Word::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Reads the value of one key into the degrees; an error message, or "" when it was understood.
using Reader = std::string (*)(Word value, Degrees& degrees);

template <int Degrees::*member, int least>
std::string read_count(Word value, Degrees& degrees) {
  int number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() || number < least ||
      number > largest_degree)
    return fmt::format("expected a whole number from {} to {}", least, largest_degree);
  degrees.*member = number;
  return {};
}

template <bool Degrees::*member>
std::string read_flag(Word value, Degrees& degrees) {
  if (value != "true" && value != "false") return "expected true or false";
  degrees.*member = value == "true";
  return {};
}

std::string read_recompute(Word value, Degrees& degrees) {
  for (const Recompute mode : {Recompute::none, Recompute::selective, Recompute::full})
    if (value == to_string(mode)) {
      degrees.recompute = mode;
      return {};
    }
  return "expected none, selective or full";
}

std::string read_schedule(Word value, Degrees& degrees) {
  for (const PipelineSchedule schedule :
       {PipelineSchedule::one_forward_one_backward, PipelineSchedule::zero_bubble_h1})
    if (value == to_string(schedule)) {
      degrees.schedule = schedule;
      return {};
    }
  return "expected 1f1b or zb-h1";
}

std::string read_context(Word value, Degrees& degrees) {
  for (const ContextExchange context : {ContextExchange::ring, ContextExchange::all_to_all})
    if (value == to_string(context)) {
      degrees.context = context;
      return {};
    }
  return "expected ring or all_to_all";
}

// "7:8:8:7".
std::string read_layers(Word value, Degrees& degrees) {
  degrees.layers.clear();
  for (std::size_t start = 0; start <= value.size();) {
    const std::size_t end = std::min(value.find(':', start), value.size());
    Degrees one;
    const std::string message = read_count<&Degrees::pp, 1>(value.substr(start, end - start), one);
    if (!message.empty()) return message + " per stage, as in 7:8:8:7";
    degrees.layers.push_back(one.pp);
    start = end + 1;
  }
  return {};
}

constexpr std::pair<Word, Reader> readers[] = {
    {"tp", read_count<&Degrees::tp, 1>},
    {"pp", read_count<&Degrees::pp, 1>},
    {"vpp", read_count<&Degrees::vpp, 1>},
    {"cp", read_count<&Degrees::cp, 1>},
    {"ep", read_count<&Degrees::ep, 1>},
    {"etp", read_count<&Degrees::etp, 1>},
    {"dp", read_count<&Degrees::dp, 1>},
    {"micro_batch", read_count<&Degrees::micro_batch, 1>},
    {"zero_stage", read_count<&Degrees::zero_stage, 0>},
    {"shard", read_count<&Degrees::shard, 1>},
    {"sequence_parallel", read_flag<&Degrees::sequence_parallel>},
    {"overlap_gradients", read_flag<&Degrees::overlap_gradients>},
    {"context", read_context},
    {"layers", read_layers},
    {"recompute", read_recompute},
    {"schedule", read_schedule},
};

std::string key_hint(Word wanted) {
  std::vector<std::string> names;
  std::string all;
  for (const auto& [name, reader] : readers) {
    names.emplace_back(name);
    all += (all.empty() ? "" : ", ") + std::string(name);
  }
  const std::string near = topology::closest_hint(wanted, names);
  return near.empty() ? "write one of " + all : near;
}

// One "key=value" of the text, which starts at `offset`.
Read<void> read_entry(Word entry, std::size_t offset, unsigned& seen, Degrees& degrees) {
  const auto equals = entry.find('=');
  if (equals == Word::npos)
    return wrong(offset, fmt::format("'{}' has no value", entry),
                 fmt::format("write '{}=1'", entry.empty() ? Word("tp") : entry));
  const Word key = trimmed(entry.substr(0, equals)), value = trimmed(entry.substr(equals + 1));
  for (std::size_t i = 0; i < std::size(readers); ++i) {
    if (readers[i].first != key) continue;
    if ((seen >> i & 1u) != 0) return wrong(offset, fmt::format("'{}' is given twice", key));
    seen |= 1u << i;
    const std::string message = readers[i].second(value, degrees);
    if (message.empty()) return {};
    return wrong(offset, fmt::format("{}: {}, found '{}'", key, message, value));
  }
  return wrong(offset, fmt::format("unknown degree '{}'", key), key_hint(key));
}

}  // namespace

tl::expected<Degrees, ConfigError> parse_degrees(std::string_view text) {
  Degrees degrees;
  unsigned seen = 0;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const Word entry = trimmed(text.substr(start, end - start));
    if (const auto read = read_entry(entry, start, seen, degrees); !read)
      return tl::unexpected<ConfigError>(read.error());
    start = end + 1;
  }
  return degrees;
}

std::string to_string(const Degrees& degrees) {
  std::string text = fmt::format(
      "tp={},pp={},vpp={},cp={},ep={},dp={},micro_batch={},zero_stage={},sequence_parallel={},"
      "recompute={},schedule={}",
      degrees.tp, degrees.pp, degrees.vpp, degrees.cp, degrees.ep, degrees.dp, degrees.micro_batch,
      degrees.zero_stage, degrees.sequence_parallel, to_string(degrees.recompute),
      to_string(degrees.schedule));
  if (!degrees.overlap_gradients) text += ",overlap_gradients=false";
  if (degrees.shard > 0) text += fmt::format(",shard={}", degrees.shard);
  if (degrees.etp > 1) text += fmt::format(",etp={}", degrees.etp);
  if (degrees.context != ContextExchange::ring) text += ",context=" + to_string(degrees.context);
  if (!degrees.layers.empty()) text += fmt::format(",layers={}", fmt::join(degrees.layers, ":"));
  return text;
}

}  // namespace railwright::workload
