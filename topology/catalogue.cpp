#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <filesystem>

#include "topology/document.hpp"
#include "topology/embedded.hpp"
#include "topology/files/csv.hpp"
#include "topology/files/names.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {
namespace {

// The data files are part of the program: one that does not parse is our bug, found by any test.
std::vector<CsvRow> embedded_table(std::string_view name) {
  for (const EmbeddedFile& file : embedded_data()) {
    if (file.name != name) continue;
    auto rows = parse_csv(file.text, std::string(name));
    assert(rows && "a data file of the catalogue is broken");
    return std::move(*rows);
  }
  assert(false && "a data file of the catalogue is missing");
  return {};
}

// The middle of a range of which either end may be unknown.
double middle_of(const CsvRow& row, std::string_view low, std::string_view high) {
  const double a = row.number(low), b = row.number(high);
  return a > 0 && b > 0 ? (a + b) / 2 : std::max(a, b);
}

// No vendor names a rate of its own for block-scaled formats: that of their width is taken.
void add_block_formats(std::string_view formats, AcceleratorKind& kind) {
  for (const auto& [format, width] :
       {std::pair(Precision::mxfp8, Precision::fp8), std::pair(Precision::nvfp4, Precision::fp4)}) {
    if (formats.find(name_of(precision_names, format)) == std::string_view::npos) continue;
    assert(kind.peak.contains(width) && "a block format without a rate of its width");
    kind.peak[format] = kind.peak.at(width);
  }
}

AcceleratorKind accelerator_of(const CsvRow& row) {
  AcceleratorKind kind;
  kind.name = row.text("name");
  kind.vendor = row.text("vendor");
  for (const auto& [name, precision] : precision_names)
    if (const double rate = row.number(std::string(name) + "_tflops"); rate > 0)
      kind.peak[precision] = teraflops(rate);
  add_block_formats(row.text("block_formats"), kind);
  kind.memory = *parse_bytes(row.text("memory_gibibytes") + " GiB");
  kind.memory_bandwidth = gigabytes_per_second(row.number("memory_gigabytes_per_second"));
  kind.compute_units = static_cast<int>(row.number("compute_units"));
  kind.power = {row.number("power_w")};
  kind.price = {middle_of(row, "price_usd_low", "price_usd_high")};
  kind.dollars_per_hour = middle_of(row, "usd_per_hour_low", "usd_per_hour_high");
  kind.source = row.text("source");
  kind.status = row.text("status");
  return kind;
}

// A port draws its power whether bits flow or not, and published pJ/bit figures are that power at
// full rate: only what they say beyond it depends on the bits. A duplex link has two ports and two
// directions, so the two ends of one direction come to one port.
LinkClass link_class_of(const CsvRow& row) {
  LinkClass link;
  link.name = link.kind = row.text("name");
  link.medium = row.text("medium") == "optical" ? Medium::optical : Medium::electrical;
  link.capacity = gigabits_per_second(row.number("gigabits_per_second"));
  link.latency = nanoseconds(row.number("latency_ns"));
  link.idle_power = {middle_of(row, "port_w_low", "port_w_high")};
  const double energy = picojoules_per_bit(row.number("picojoules_per_bit")).value;
  link.energy = {std::max(0.0, energy - link.idle_power.value / in_bits_per_second(link.capacity))};
  link.cost = {middle_of(row, "port_usd_low", "port_usd_high")};
  link.failures_per_year = row.number("failures_percent_per_year") / 100;
  return link;
}

// The comment in front of a ready cluster, one line: its description.
std::string leading_comment(std::string_view text) {
  std::string out;
  while (text.starts_with('#')) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(1, end == std::string_view::npos ? end : end - 1);
    while (line.starts_with(' ')) line.remove_prefix(1);
    out += (out.empty() ? "" : " ") + std::string(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

}  // namespace

const std::vector<AcceleratorKind>& accelerator_catalogue() {
  static const auto catalogue = [] {
    std::vector<AcceleratorKind> kinds;
    for (const CsvRow& row : embedded_table("data/accelerators.csv"))
      kinds.push_back(accelerator_of(row));
    return kinds;
  }();
  return catalogue;
}

const std::vector<LinkClass>& link_catalogue() {
  static const auto catalogue = [] {
    std::vector<LinkClass> links;
    for (const CsvRow& row : embedded_table("data/links.csv")) links.push_back(link_class_of(row));
    return links;
  }();
  return catalogue;
}

const std::vector<ReadyFile>& ready_clusters() {
  static const auto clusters = [] {
    std::vector<ReadyFile> files;
    for (const EmbeddedFile& file : embedded_clusters())
      files.push_back({std::filesystem::path(file.name).stem().string(), leading_comment(file.text),
                       std::string(file.text)});
    return files;
  }();
  return clusters;
}

Result<ClusterFile> load_cluster_file(const std::string& name_or_path) {
  for (const ReadyFile& ready : ready_clusters())
    if (ready.name == name_or_path) return parse_cluster_file(ready.text, ready.name + ".yaml");
  Result<std::string> text = read_text_file(name_or_path);
  if (text) return parse_cluster_file(*text, name_or_path);
  // A word without a folder or an ending was meant as a name.
  const bool path = name_or_path.find_first_of("/.") != std::string::npos;
  if (path || std::filesystem::exists(name_or_path)) return tl::unexpected<Errors>(text.error());
  std::vector<std::string> names;
  for (const ReadyFile& ready : ready_clusters()) names.push_back(ready.name);
  std::string hint = closest_hint(name_or_path, names);
  if (hint.empty()) hint = fmt::format("give a file, or one of {}", fmt::join(names, ", "));
  return failure({}, fmt::format("no file and no ready cluster is called '{}'", name_or_path),
                 hint);
}

Result<Cluster> load_cluster(const std::string& name_or_path) {
  Result<ClusterFile> file = load_cluster_file(name_or_path);
  if (!file) return tl::unexpected<Errors>(std::move(file.error()));
  return build_cluster(std::move(file->spec));
}

}  // namespace railwright::topology
