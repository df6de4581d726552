#include "coordinator/validation/training/constants.hpp"

#include <map>
#include <set>

namespace railwright::coordinator {
namespace {

using topology::SubjectSort;

std::size_t limit_of(const std::string& subject) {
  switch (topology::subject_sort(subject).value_or(SubjectSort::any)) {
    case SubjectSort::accelerator:
      return 8;
    case SubjectSort::framework:
      return 3;
    case SubjectSort::link:
    case SubjectSort::network:
      return 4;
    case SubjectSort::library:
    case SubjectSort::any:
      return 0;
  }
  return 0;
}

}  // namespace

std::vector<std::string> subjects_of(const TrainingSetup& setup) {
  std::set<std::string> subjects{setup.cluster.accelerator_kinds.front().subject()};
  if (!setup.framework.empty()) subjects.insert("framework:" + setup.framework);
  for (const topology::LinkClass& link : setup.cluster.link_classes)
    if (!link.kind.empty()) subjects.insert(link.kind);
  return {subjects.begin(), subjects.end()};
}

std::vector<ConstantCount> constant_counts(const topology::Calibration& calibration) {
  std::map<std::string, std::set<std::string>> parameters;
  for (const topology::CalibrationEntry& entry : calibration.entries)
    if (entry.parameter != "step_spread") parameters[entry.subject].insert(entry.parameter);
  std::vector<ConstantCount> counts;
  for (const auto& [subject, names] : parameters)
    counts.push_back({subject, names.size(), limit_of(subject)});
  return counts;
}

}  // namespace railwright::coordinator
