#include <algorithm>
#include <cassert>
#include <charconv>
#include <utility>

#include "collectives/nccl.hpp"
#include "collectives/nccl/embedded.hpp"
#include "topology/document.hpp"

namespace railwright::collectives::nccl {
namespace {

using topology::Cursor;
using topology::Document;
using topology::Fields;

constexpr double largest = 1e6;  // microseconds, GB/s
constexpr std::array<const char*, algorithm_count> algorithm_keys = {
    "tree", "ring", "collnet_direct", "collnet_chain", "nvls", "nvls_tree", "pat"};
constexpr std::array<const char*, protocol_count> protocol_keys = {"ll", "ll128", "simple"};
constexpr std::pair<std::string_view, LlRule> ll_rules[] = {
    {"half_up_to_limit", LlRule::half_up_to_limit}, {"share", LlRule::share}};
constexpr std::pair<std::string_view, NvlsRule> nvls_rules[] = {
    {"efficiency", NvlsRule::efficiency}, {"five_sixths", NvlsRule::five_sixths}};

float number(const Cursor& cursor) { return static_cast<float>(cursor.number(0, largest)); }

// `count` values, of which null ones are absent.
template <std::size_t count>
std::array<std::optional<float>, count> read_list(const Cursor& cursor) {
  std::array<std::optional<float>, count> list{};
  const std::vector<Cursor> items = cursor.items();
  if (cursor.present() && items.size() != count)
    cursor.error("has " + std::to_string(items.size()) + " values",
                 "write " + std::to_string(count));
  for (std::size_t i = 0; i < std::min(count, items.size()); ++i)
    if (!items[i].is_null()) list[i] = number(items[i]);
  return list;
}

ByAlgorithm read_table(const Cursor& cursor) {
  ByAlgorithm table;
  Fields fields = cursor.fields();
  for (std::size_t a = 0; a < algorithm_count; ++a)
    table[a] = read_list<protocol_count>(fields.require(algorithm_keys[a]));
  fields.finish();
  return table;
}

ByNodes read_by_nodes(const Cursor& cursor) {
  ByNodes values{};
  const auto list = read_list<3>(cursor);
  for (std::size_t i = 0; i < list.size(); ++i) values[i] = list[i].value_or(0);
  return values;
}

Generation read_generation(const Cursor& cursor) {
  Fields fields = cursor.fields();
  Generation generation;
  generation.name = fields.require("name").text();
  generation.compute_capability =
      static_cast<int>(fields.require("compute_capability").integer(10, 999));
  generation.ll = number(fields.require("ll"));
  generation.ring_ll128 = read_by_nodes(fields.require("ring_ll128"));
  generation.tree = read_by_nodes(fields.require("tree"));
  generation.tree_ll128 = read_by_nodes(fields.require("tree_ll128"));
  generation.nvls_efficiency = number(fields.require("nvls_efficiency"));
  const Cursor pair = fields.find("nvls_tree_two_nodes"),
               more = fields.find("nvls_tree_more_nodes");
  if (pair.present() || more.present()) generation.nvls_tree = {0, number(pair), number(more)};
  fields.finish();
  return generation;
}

Host read_host(const Cursor& cursor) {
  Fields fields = cursor.fields();
  Host host;
  host.name = fields.require("name").text();
  host.ll_two_nodes = number(fields.require("ll_two_nodes"));
  host.ll_more_nodes = number(fields.require("ll_more_nodes"));
  host.network_overhead = number(fields.require("network_overhead_us"));
  fields.finish();
  return host;
}

void read_latencies(Fields& fields, Constants& constants) {
  constants.base_latency = read_table(fields.require("base_latency_us"));
  Fields hops = fields.require("hop_latency_us").fields();
  constants.nvlink_latency = read_table(hops.require("nvlink"));
  constants.pci_latency = read_table(hops.require("pci"));
  constants.network_latency = read_table(hops.require("network"));
  hops.finish();
}

void read_corrections(Fields& fields, Constants& constants) {
  Fields tables = fields.require("correction").fields();
  for (std::size_t p = 0; p < protocol_count; ++p)
    for (const Cursor& value : tables.require(protocol_keys[p]).items())
      constants.correction[p].push_back(static_cast<float>(value.number(1e-3, 10)));
  tables.finish();
  constants.tree_corrections = static_cast<int>(fields.require("tree_corrections").integer(0, 64));
  constants.nvls_tree_corrected_from =
      static_cast<int>(fields.require("nvls_tree_corrected_from").integer(0, 999));
  constants.plateau = number(fields.require("plateau"));
  constants.old_plateau = number(fields.require("plateau_before_ampere"));
}

// "2.22.3" as numbers, for comparison; empty when it is no version.
std::vector<int> version_numbers(std::string_view version) {
  std::vector<int> numbers;
  const char* at = version.data();
  const char* const end = at + version.size();
  while (at != end) {
    int value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || value < 0) return {};
    numbers.push_back(value);
    if (next != end && (*next != '.' || next + 1 == end)) return {};
    at = next == end ? next : next + 1;
  }
  return numbers;
}

std::vector<Constants> read_all() {
  std::vector<Constants> all;
  for (const EmbeddedFile& file : embedded_nccl()) {
    if (file.name.ends_with("platforms.json")) continue;
    auto read = parse_constants(file.text, std::string(file.name));
    assert(read && "data/nccl is broken");
    all.push_back(std::move(*read));
  }
  assert(!all.empty());
  std::sort(all.begin(), all.end(), [](const Constants& a, const Constants& b) {
    return version_numbers(a.version) < version_numbers(b.version);
  });
  return all;
}

}  // namespace

Result<Constants> parse_constants(std::string_view text, const std::string& file) {
  Document document = Document::parse(text, file);
  Fields fields = document.root().fields();
  Constants constants;
  fields.require("schema_version").integer(1, 1);
  const Cursor version = fields.require("nccl");
  constants.version = version.text();
  if (version.present() && version_numbers(constants.version).empty())
    version.error("is no version", "write \"2.30\"");
  constants.source = fields.require("source").text();
  read_latencies(fields, constants);
  for (const Cursor& item : fields.require("generations").items())
    constants.generations.push_back(read_generation(item));
  std::sort(
      constants.generations.begin(), constants.generations.end(),
      [](const auto& a, const auto& b) { return a.compute_capability < b.compute_capability; });
  for (const Cursor& item : fields.require("hosts").items())
    constants.hosts.push_back(read_host(item));
  read_corrections(fields, constants);
  constants.ll_rule = fields.require("ring_ll").choice<LlRule>(ll_rules, LlRule::half_up_to_limit);
  constants.nvls_rule =
      fields.require("nvls_bandwidth").choice<NvlsRule>(nvls_rules, NvlsRule::efficiency);
  constants.counts_closing_hop = fields.require("ring_all_reduce_counts_closing_hop").boolean();
  fields.finish();
  return document.result(std::move(constants));
}

const std::vector<Constants>& all_constants() {
  static const std::vector<Constants> all = read_all();
  return all;
}

const Constants& newest_constants() { return all_constants().back(); }

const Constants* constants_for(std::string_view version) {
  const std::vector<int> wanted = version_numbers(version);
  const Constants* found = nullptr;
  for (const Constants& constants : all_constants())
    if (version_numbers(constants.version) <= wanted) found = &constants;
  return found;
}

}  // namespace railwright::collectives::nccl
