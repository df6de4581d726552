#include "topology/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <map>
#include <nlohmann/json.hpp>

#include "topology/calibration_parameter.hpp"
#include "topology/document.hpp"
#include "topology/embedded.hpp"

namespace railwright::topology {
namespace {

constexpr double smallest_efficiency = 1e-3;
using enum SubjectSort;
constexpr std::array<Parameter, 28> parameters{
    {{"gemm_efficiency", "1", smallest_efficiency, 1, accelerator},
     {"attention_efficiency", "1", smallest_efficiency, 1, accelerator},
     {"hbm_efficiency", "1", smallest_efficiency, 1, accelerator},
     {"launch_floor", "s", 0, 1, accelerator},
     {"gemm_half_depth", "1", 0, 1e6, accelerator},
     {"sustained_rate", "1", smallest_efficiency, 1, accelerator},
     {"hbm_half_size", "B", 0, 1e15, accelerator},
     {"compute_interference", "1", 1, 10, accelerator},
     {"communication_interference", "1", 1, 10, accelerator},
     {"link_efficiency", "1", smallest_efficiency, 1, link},
     {"software_latency", "s", 0, 1, library},
     {"wire_efficiency", "1", smallest_efficiency, 1, link},
     {"network_efficiency", "1", smallest_efficiency, 1, network},
     {"network_latency", "s", 0, 1, network},
     {"hop_latency", "s", 0, 1, library},
     {"hop_latency_simple", "s", 0, 1, library},
     {"exchange_latency", "s", 0, 1, library},
     {"pipeline_fill", "1", 0, 2, library},
     {"tree_efficiency", "1", smallest_efficiency, 1, library},
     {"nvls_efficiency", "1", smallest_efficiency, 1, library},
     {"nvls_latency", "s", 0, 1, library},
     {"local_copy_efficiency", "1", smallest_efficiency, 1, library},
     {"call_latency", "s", 0, 1, framework},
     {"host_launch", "s", 0, 1, framework},
     {"step_spread", "1", 0, 10, accelerator},
     {"host_exposed", "1", 0, 1, framework},
     {"vector_traffic", "1", 1, 100, framework},
     {"shard_latency", "s", 0, 1, framework}}};

// Reads `parameter` and what depends on it: the unit it must have, the range of its value.
void read_value(Fields& fields, CalibrationEntry& entry) {
  const Cursor name = fields.require("parameter"), unit = fields.require("unit");
  const Cursor value = fields.require("value");
  entry.parameter = name.text();
  entry.unit = unit.text();
  const Parameter* parameter = parameter_named(entry.parameter);
  entry.value = parameter ? value.number(parameter->low, parameter->high) : value.number(0, 1e300);
  if (parameter && unit.present() && entry.unit != parameter->unit)
    unit.error(fmt::format("{} is given in '{}'", parameter->name, parameter->unit));
  if (parameter || entry.parameter.empty()) return;
  std::vector<std::string> names;
  for (const Parameter& known : parameters) names.emplace_back(known.name);
  std::string hint = closest_hint(entry.parameter, names);
  if (hint.empty()) hint = fmt::format("write one of {}", fmt::join(names, ", "));
  name.error(fmt::format("unknown parameter '{}'", entry.parameter), hint);
}

CalibrationEntry read_entry(const Cursor& cursor) {
  Fields fields = cursor.fields();
  CalibrationEntry entry;
  entry.subject = fields.require("subject").text();
  read_value(fields, entry);
  const Parameter* parameter = parameter_named(entry.parameter);
  const auto sort = subject_sort(entry.subject);  // nothing: a thing of the cluster's own
  if (parameter && sort && *sort != SubjectSort::any && *sort != parameter->sort)
    cursor.error(fmt::format("'{}' has no {}", entry.subject, entry.parameter),
                 "docs/calibration.md says whose each parameter is");
  entry.standard_error = fields.find("standard_error").number(0, 1e300);
  entry.n = static_cast<int>(fields.find("n").integer(0, INT32_MAX));
  entry.valid_low = fields.find("valid_low").number(0, 1e300);
  const Cursor high = fields.find("valid_high");
  entry.valid_high = high.number(0, 1e300);
  if (high.present() && entry.valid_high < entry.valid_low)
    high.error("the valid range ends before it begins");
  entry.source = fields.require("source").text();
  fields.finish();
  return entry;
}

using Name = std::pair<std::string, std::string>;  // subject and parameter

bool is_of(const CalibrationEntry& entry, std::string_view subject, std::string_view parameter) {
  return entry.subject == subject && entry.parameter == parameter;
}

// A parameter that is given by size has several entries, whose ranges meet in an end at most.
bool overlap(const CalibrationEntry& a, const CalibrationEntry& b) {
  if (a.valid_high <= 0 || b.valid_high <= 0) return true;
  return a.valid_low < b.valid_high && b.valid_low < a.valid_high;
}

// "library:nccl@2.18.5", then "@2.18", "@2" and "library:nccl"; nothing after that.
std::string_view less_exact(std::string_view subject) {
  const std::size_t at = subject.find('@');
  if (at == std::string_view::npos) return {};
  const std::size_t dot = subject.rfind('.');
  return subject.substr(0, dot != std::string_view::npos && dot > at ? dot : at);
}

}  // namespace

std::span<const Parameter> calibration_parameters() { return parameters; }

const Parameter* parameter_named(std::string_view name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  return found == parameters.end() ? nullptr : &*found;
}

const CalibrationEntry* Calibration::find(std::string_view subject,
                                          std::string_view parameter) const {
  const CalibrationEntry *own = nullptr, *any = nullptr;
  for (const CalibrationEntry& entry : entries) {
    // Of several ranges the one of the largest sizes: the asymptote.
    if (is_of(entry, subject, parameter) && (!own || entry.valid_high > own->valid_high))
      own = &entry;
    if (!any && is_of(entry, "*", parameter)) any = &entry;
  }
  if (own) return own;
  const std::string_view wider = less_exact(subject);
  return wider.empty() ? any : find(wider, parameter);
}

double Calibration::value_or(std::string_view subject, std::string_view parameter,
                             double fallback) const {
  const CalibrationEntry* entry = find(subject, parameter);
  return entry ? entry->value : fallback;
}

Result<Calibration> parse_calibration(std::string_view text, const std::string& file) {
  Document document = Document::parse(text, file);
  Calibration calibration;
  // What was given so far, and in which line.
  std::map<Name, std::vector<std::pair<CalibrationEntry, int>>> given;
  Fields fields = document.root().fields();
  fields.require("schema_version").integer(1, 1, 1);
  for (const Cursor& item : fields.require("entries").items()) {
    CalibrationEntry entry = read_entry(item);
    auto& same = given[{entry.subject, entry.parameter}];
    const auto twice = std::find_if(same.begin(), same.end(), [&](const auto& earlier) {
      return overlap(earlier.first, entry);
    });
    if (twice != same.end())
      item.error(fmt::format("{} of '{}' is already given", entry.parameter, entry.subject),
                 fmt::format("keep this one or the one in line {}", twice->second));
    same.emplace_back(entry, item.place().line);
    calibration.entries.push_back(std::move(entry));
  }
  fields.finish();
  return document.result(std::move(calibration));
}

std::string to_json(const Calibration& calibration) {
  nlohmann::ordered_json out;
  out["schema_version"] = 1;
  out["entries"] = nlohmann::ordered_json::array();
  for (const CalibrationEntry& entry : calibration.entries) {
    nlohmann::ordered_json item{
        {"subject", entry.subject}, {"parameter", entry.parameter},           {"unit", entry.unit},
        {"value", entry.value},     {"standard_error", entry.standard_error}, {"n", entry.n}};
    if (entry.valid_high > 0) {
      item["valid_low"] = entry.valid_low;
      item["valid_high"] = entry.valid_high;
    }
    item["source"] = entry.source;
    out["entries"].push_back(std::move(item));
  }
  return out.dump(1) + "\n";
}

const Calibration& default_calibration() {
  static const Calibration calibration = [] {
    for (const EmbeddedFile& file : embedded_data()) {
      if (file.name != "data/calibration.json") continue;
      auto read = parse_calibration(file.text, std::string(file.name));
      assert(read && "data/calibration.json is broken");
      return std::move(*read);
    }
    assert(false && "data/calibration.json is missing");
    return Calibration{};
  }();
  return calibration;
}

Bandwidth effective_capacity(const Graph& graph, LinkId link, const Calibration& calibration) {
  return calibration.value_or(graph.class_of(link).kind, "link_efficiency", 1) *
         graph.capacity(link);
}

}  // namespace railwright::topology
