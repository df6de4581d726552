#include "emulator/faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "emulator/faults/target.hpp"
#include "topology/document.hpp"

namespace railwright::emulator {
namespace {

using topology::Cursor;
using topology::Fields;

constexpr std::array<std::pair<std::string_view, FaultKind>, 5> kinds = {{
    {"slow", FaultKind::slow},
    {"degraded", FaultKind::degraded},
    {"down", FaultKind::down},
    {"flap", FaultKind::flap},
    {"dead", FaultKind::dead},
}};
constexpr std::array<std::string_view, 2> families = {"exponential", "fixed"};
constexpr double longest_seconds = 9e6;  // event time ends after 106 days

std::string_view name_of(FaultKind kind) {
  return std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.second == kind; })
      ->first;
}

bool has_factor(FaultKind kind) { return kind == FaultKind::slow || kind == FaultKind::degraded; }

// "0.05/year", "0.05 /year"
std::optional<double> events_per_year(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const bool good = error == std::errc{} && unit == "/year" && std::isfinite(number) && number > 0;
  return good ? std::optional(number) : std::nullopt;
}

class FaultReader {
 public:
  FaultReader(const Cursor& item, const topology::Cluster& cluster)
      : fields_(item.fields()), cluster_(cluster) {
    fault_.place = item.place();
  }

  Fault read() {
    const Cursor kind = fields_.require("kind");
    fault_.kind = kind.choice<FaultKind>(kinds, FaultKind::degraded);
    fault_.target = read_target(fields_.require("target"));
    fault_.correlated_with = read_target(fields_.find("correlated_with"));
    read_when();
    read_factor();
    read_end();
    fields_.finish();
    return fault_;
  }

 private:
  std::string read_target(const Cursor& value) {
    const std::string name = value.text();
    if (name.empty()) return name;
    const auto target = find_target(name, cluster_);
    if (!target)
      value.error(fmt::format("unknown target '{}'", name), target_hint(name, cluster_));
    else if (fault_.kind == FaultKind::slow && accelerators_of(*target, cluster_).empty())
      value.error(fmt::format("'{}' is no accelerator: it cannot be slow", name),
                  "name an accelerator or a node, or write 'kind: degraded'");
    return name;
  }

  Seconds read_span(const Cursor& value) {
    const Seconds span = value.seconds();
    if (span.value < 0 || span.value > longest_seconds)
      value.error("a time here lies between 0 s and 104 d", "write '10 ms'");
    return span;
  }

  void read_when() {
    const Cursor at = fields_.find("at"), rate = fields_.find("rate");
    if (at.present() == rate.present())
      fields_.map().error(
          at.present() ? "both 'at' and 'rate' are given" : "neither 'at' nor 'rate' is given",
          "write 'at: 0 s' for a fixed time or 'rate: 0.05/year' for a random one");
    if (at.present()) fault_.at = read_span(at);
    if (!rate.present()) return;
    fault_.per_year = events_per_year(rate.text("1/year"));
    if (!fault_.per_year) rate.error("a rate is a positive number per year", "write '0.05/year'");
  }

  void read_factor() {
    const Cursor factor = fields_.find("factor");
    if (!has_factor(fault_.kind)) {
      if (factor.present())
        factor.error(fmt::format("'{}' takes no factor", name_of(fault_.kind)),
                     "leave it out, or write 'kind: degraded'");
      return;
    }
    fault_.factor = fields_.require("factor").number(0, 1, 1);
    if (factor.present() && fault_.factor == 0)
      factor.error("a factor lies above 0 and is at most 1", "write 'kind: down' for nothing left");
  }

  void read_end() {
    const Cursor duration = fields_.find("duration"), repair = fields_.find("repair");
    if (duration.present() && repair.present())
      repair.error("both 'duration' and 'repair' are given", "keep one of them");
    if (fault_.kind == FaultKind::dead && (duration.present() || repair.present()))
      (duration.present() ? duration : repair)
          .error("what is dead does not come back", "write 'kind: down'");
    if (fault_.kind == FaultKind::flap && !duration.present() && !repair.present())
      fields_.map().error("a flap needs the time that it lasts", "write 'duration: 3 s'");
    if (duration.present()) fault_.duration = read_span(duration);
    if (repair.present()) fault_.repair = read_repair(repair);
  }

  Distribution read_repair(const Cursor& value) {
    Fields fields = value.fields();
    Distribution repair;
    for (const std::string_view family : families) {
      const Cursor mean = fields.find(family);
      if (!mean.present()) continue;
      if (!repair.family.empty()) mean.error("a second distribution", "keep one of them");
      repair = {std::string(family), read_span(mean)};
    }
    if (repair.family.empty() && value.is_map())
      value.error("no distribution of repair times",
                  "write '{exponential: 2 h}' or '{fixed: 30 min}'");
    fields.finish();
    return repair;
  }

  Fields fields_;
  const topology::Cluster& cluster_;
  Fault fault_;
};

nlohmann::ordered_json json_of(const Fault& fault) {
  nlohmann::ordered_json json;
  json["target"] = fault.target;
  json["kind"] = name_of(fault.kind);
  if (fault.at) json["at_s"] = fault.at->value;
  if (fault.per_year) json["rate_per_year"] = *fault.per_year;
  if (has_factor(fault.kind)) json["factor"] = fault.factor;
  if (fault.duration) json["duration_s"] = fault.duration->value;
  if (fault.repair) json["repair"][fault.repair->family + "_s"] = fault.repair->mean.value;
  if (!fault.correlated_with.empty()) json["correlated_with"] = fault.correlated_with;
  return json;
}

}  // namespace

Result<Faults> parse_faults(std::string_view text, const std::string& file,
                            const topology::Cluster& cluster) {
  topology::Document document = topology::Document::parse(text, file);
  Fields fields = document.root().fields();
  fields.require("schema_version").integer(1, 1, 1);
  Faults faults;
  for (const Cursor& item : fields.require("events").items())
    faults.events.push_back(FaultReader(item, cluster).read());
  fields.finish();
  return document.result(std::move(faults));
}

Result<Faults> load_faults(const std::string& path, const topology::Cluster& cluster) {
  return topology::read_text_file(path).and_then(
      [&](const std::string& text) { return parse_faults(text, path, cluster); });
}

std::string canonical_json(const Faults& faults) {
  nlohmann::ordered_json json;
  json["schema_version"] = 1;
  json["events"] = nlohmann::ordered_json::array();
  for (const Fault& fault : faults.events) json["events"].push_back(json_of(fault));
  return json.dump();
}

}  // namespace railwright::emulator
