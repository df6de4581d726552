#include "topology/calibration_overlay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "topology/calibration_parameter.hpp"
#include "topology/document.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {
namespace {

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<SubjectSort> prefixed(std::string_view subject, std::string_view prefix,
                                    const std::vector<std::string>& names, SubjectSort sort) {
  const std::string_view name = subject.substr(prefix.size());
  return holds(names, name) ? std::optional(sort) : std::nullopt;
}

// "nccl@2.18" is nccl; a version is digits and dots.
std::optional<SubjectSort> library_sort(std::string_view subject) {
  const std::size_t at = subject.find('@');
  if (at == std::string_view::npos)
    return prefixed(subject, "library:", library_names(), SubjectSort::library);
  const std::string_view version = subject.substr(at + 1);
  const bool spelled = !version.empty() &&
                       version.find_first_not_of("0123456789.") == std::string_view::npos &&
                       version.front() != '.' && version.back() != '.';
  return spelled ? library_sort(subject.substr(0, at)) : std::nullopt;
}

using Name = std::pair<std::string_view, std::string_view>;  // subject and parameter
Name name_of(const CalibrationEntry& entry) { return {entry.subject, entry.parameter}; }

// How many times larger or smaller than the nearest end of the range; 0 inside.
double distance(const CalibrationEntry& entry, double size) {
  if (entry.valid_high <= 0) return 0;
  if (size > entry.valid_high) return std::log(size / entry.valid_high);
  if (size < entry.valid_low) return std::log(entry.valid_low / std::max(size, 1.0));
  return 0;
}

}  // namespace

const std::vector<std::string>& network_kinds() {
  static const std::vector<std::string> kinds{"infiniband", "roce",      "efa",
                                              "slingshot",  "omni-path", "ethernet"};
  return kinds;
}

const std::vector<std::string>& framework_names() {
  static const std::vector<std::string> names{
      "torch", "megatron", "megatron-deepspeed", "deepspeed", "fsdp", "internevo", "nanotron"};
  return names;
}

const std::vector<std::string>& library_names() {
  static const std::vector<std::string> names{"nccl", "rccl", "hccl", "oneccl",
                                              "gloo", "mpi",  "shm"};
  return names;
}

std::optional<SubjectSort> subject_sort(std::string_view subject) {
  if (subject == "*") return SubjectSort::any;
  if (subject.starts_with("network:"))
    return prefixed(subject, "network:", network_kinds(), SubjectSort::network);
  if (subject.starts_with("framework:"))
    return prefixed(subject, "framework:", framework_names(), SubjectSort::framework);
  if (subject.starts_with("library:")) return library_sort(subject);
  for (const AcceleratorKind& kind : accelerator_catalogue())
    if (kind.name == subject) return SubjectSort::accelerator;
  for (const LinkClass& link : link_catalogue())
    if (link.name == subject) return SubjectSort::link;
  return {};
}

std::string misfit_of(const CalibrationEntry& entry) {
  const Parameter* parameter = parameter_named(entry.parameter);
  if (!parameter) return fmt::format("no parameter is called '{}'", entry.parameter);
  const auto sort = subject_sort(entry.subject);
  if (!sort)
    return fmt::format("'{}' is no accelerator, link, network, framework or library",
                       entry.subject);
  if (*sort != SubjectSort::any && *sort != parameter->sort)
    return fmt::format("'{}' has no {}", entry.subject, entry.parameter);
  if (entry.value < parameter->low || entry.value > parameter->high)
    return fmt::format("{} of '{}' is {:.4g}, outside of {:.4g} to {:.4g}", entry.parameter,
                       entry.subject, entry.value, parameter->low, parameter->high);
  return {};
}

Calibration overlaid(const Calibration& base, const Calibration& top) {
  std::set<Name> given;
  for (const CalibrationEntry& entry : top.entries) given.insert(name_of(entry));
  Calibration both;
  for (const CalibrationEntry& entry : base.entries)
    if (!given.contains(name_of(entry))) both.entries.push_back(entry);
  both.entries.insert(both.entries.end(), top.entries.begin(), top.entries.end());
  return both;
}

Calibration at_size(const Calibration& calibration, Bytes size) {
  const auto bytes = static_cast<double>(size.count);
  std::map<Name, std::size_t> kept;
  Calibration pieces;
  for (const CalibrationEntry& entry : calibration.entries) {
    const auto [same, fresh] = kept.emplace(name_of(entry), pieces.entries.size());
    if (fresh) {
      pieces.entries.push_back(entry);
    } else if (distance(entry, bytes) < distance(pieces.entries[same->second], bytes)) {
      pieces.entries[same->second] = entry;
    }
  }
  return pieces;
}

Calibration with_framework(const Calibration& calibration, std::string_view framework) {
  Calibration chosen;
  for (const CalibrationEntry& entry : calibration.entries)
    if (entry.subject != "framework") chosen.entries.push_back(entry);
  if (framework.empty()) return chosen;
  for (const CalibrationEntry& entry : calibration.entries) {
    if (entry.subject != "framework:" + std::string(framework)) continue;
    chosen.entries.push_back(entry);
    chosen.entries.back().subject = "framework";
  }
  return chosen;
}

Result<Calibration> load_calibration(const std::string& path) {
  Result<std::string> text = read_text_file(path);
  if (!text) return tl::unexpected<Errors>(std::move(text.error()));
  Result<Calibration> own = parse_calibration(*text, path);
  if (!own) return own;
  return overlaid(default_calibration(), *own);
}

}  // namespace railwright::topology
