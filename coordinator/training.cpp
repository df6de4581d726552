#include "coordinator/training.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>

#include "topology/calibration_overlay.hpp"
#include "topology/calibration_range.hpp"
#include "topology/files/names.hpp"
#include "topology/routing.hpp"
#include "workload/uncertainty.hpp"

namespace railwright::coordinator {

namespace {

using emulator::Plan;
using topology::AcceleratorKind;
using topology::Cluster;
using topology::UsedRanges;
using workload::KernelKind;

std::string rates_of(const AcceleratorKind& kind) {
  std::string names;
  for (const auto& [name, precision] : topology::precision_names)
    if (kind.peak.contains(precision)) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

// "b200-sxm-180gb, mi355x": of the catalogue, those with a rate for it.
std::string owners_of(topology::Precision precision) {
  constexpr std::size_t most = 12;
  std::vector<std::string> names;
  for (const AcceleratorKind& kind : topology::accelerator_catalogue())
    if (kind.peak.contains(precision)) names.push_back(kind.name);
  const std::size_t left_out = names.size() - std::min(most, names.size());
  names.resize(names.size() - left_out);
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  return left_out > 0 ? fmt::format("{} and {} more", text, left_out) : text;
}

void add_kernel(UsedRanges& used, const std::string& subject, const workload::Kernel& kernel) {
  used.add(subject, "hbm_efficiency", kernel.bytes);
  used.add(subject, "hbm_half_size", kernel.bytes);
  const bool gemm = kernel.kind == KernelKind::gemm;
  if (!gemm && kernel.kind != KernelKind::attention) return;
  used.add(subject, gemm ? "gemm_efficiency" : "attention_efficiency", kernel.flops.count);
  if (gemm) used.add(subject, "gemm_half_depth", kernel.flops.count);
}

// The link kinds between the first member of a group and its neighbour, and the farthest one.
std::vector<std::string> link_kinds(const Plan& plan, const Cluster& cluster,
                                    workload::Dimension group) {
  const topology::Router router(cluster);
  const auto members = emulator::members_of(plan, group, 0);
  std::vector<std::string> kinds;
  for (const auto target : {members[1], members.back()})
    for (const topology::LinkShare& part : router.between(members.front(), target).links) {
      const std::string& kind = cluster.graph.class_of(part.link).kind;
      if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    }
  return kinds;
}

// The shortest step has every size; inner stages do what the first one does.
void add_uses(UsedRanges& used, const Plan& plan, const Cluster& cluster) {
  const workload::Training training = shortest(plan.training, plan.degrees);
  const auto accelerators = kinds_of(plan, cluster);
  std::map<workload::Dimension, std::vector<std::string>> kinds;
  for (const int stage : {0, plan.degrees.pp - 1}) {
    const workload::Program program = stage_program(training, plan.degrees, stage);
    for (const workload::Body& body : program.bodies)
      for (const workload::Kernel& kernel : body.kernels)
        for (const AcceleratorKind* kind : accelerators) add_kernel(used, kind->subject(), kernel);
    for (const workload::Op& op : program.ops) {
      if (op.kind == workload::OpKind::compute || degree_of(plan.degrees, op.group) < 2) continue;
      if (!kinds.contains(op.group)) kinds[op.group] = link_kinds(plan, cluster, op.group);
      for (const std::string& kind : kinds[op.group])
        used.add(kind, "link_efficiency", static_cast<double>(op.bytes.count));
    }
  }
}

}  // namespace

tl::expected<topology::Precision, ConfigError> parse_precision(const std::string& text) {
  std::string names;
  for (const auto& [name, precision] : topology::precision_names) {
    if (name == text) return precision;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return tl::unexpected(
      ConfigError{{}, "--precision '" + text + "' does not exist", "write one of " + names});
}

std::optional<ConfigError> wrong_batch(std::int64_t global_batch, std::int64_t sequence) {
  constexpr std::int64_t most = std::int64_t{1} << 31;
  const auto fits = [](std::int64_t count) { return count >= 1 && count <= most; };
  if (fits(global_batch) && fits(sequence)) return std::nullopt;
  return ConfigError{{},
                     fmt::format("--global-batch {} and --sequence {} must lie between 1 and {}",
                                 global_batch, sequence, most),
                     "write both in full numbers"};
}

ConfigError of_option(const std::string& option, const ConfigError& error) {
  return {{}, option + ": " + error.message, error.hint};
}

Result<std::int64_t> first_accelerator(int node, const topology::Cluster& cluster) {
  if (node >= 0 && node < cluster.nodes()) return cluster.first_of_node(node).index;
  return failure({},
                 fmt::format("--first-node {}: cluster '{}' has nodes 0 to {}", node,
                             cluster.spec.name, cluster.nodes() - 1),
                 "write one of them");
}

std::optional<ConfigError> missing_precision(const std::vector<const AcceleratorKind*>& kinds,
                                             topology::Precision precision) {
  for (const AcceleratorKind* kind : kinds)
    if (!kind->peak.contains(precision))
      return ConfigError{
          {},
          fmt::format("accelerator '{}' has no rate for {}", kind->name,
                      topology::name_of(topology::precision_names, precision)),
          fmt::format("choose --precision among those that it has: {}; those with a rate for {}: "
                      "{}",
                      rates_of(*kind), topology::name_of(topology::precision_names, precision),
                      owners_of(precision))};
  return std::nullopt;
}

double uncertainty_of(const std::vector<const AcceleratorKind*>& kinds,
                      const topology::Calibration& calibration) {
  double most = 0;
  for (const AcceleratorKind* kind : kinds)
    most = std::max(most, workload::prediction_uncertainty(*kind, calibration));
  return most;
}

std::optional<std::string> assumed_rate(const AcceleratorKind& kind,
                                        topology::Precision precision) {
  using topology::Precision;
  if (precision != Precision::mxfp8 && precision != Precision::nvfp4) return std::nullopt;
  const Precision width = precision == Precision::mxfp8 ? Precision::fp8 : Precision::fp4;
  const auto own = kind.peak.find(precision), same = kind.peak.find(width);
  if (own == kind.peak.end() || same == kind.peak.end() || own->second != same->second)
    return std::nullopt;
  return fmt::format("no rate of its own is known of '{}' for {}: that for {} is taken", kind.name,
                     topology::name_of(topology::precision_names, precision),
                     topology::name_of(topology::precision_names, width));
}

std::vector<std::string> notes_of(const Plan& plan, const Cluster& cluster,
                                  const topology::Calibration& calibration) {
  std::vector<std::string> notes;
  const workload::Model& model = plan.training.model;
  if (model.positions > 0 && plan.training.sequence > model.positions)
    notes.push_back(fmt::format(
        "warning: a sequence of {} is longer than the {} positions that {} was made for: its "
        "position encoding must be scaled",
        plan.training.sequence, model.positions, model.name));
  UsedRanges used(calibration);
  add_uses(used, plan, cluster);
  for (const std::string& note : used.notes()) notes.push_back("note: calibration: " + note);
  return notes;
}

void print_notes(const Plan& plan, const Cluster& cluster,
                 const topology::Calibration& calibration) {
  for (const std::string& note : notes_of(plan, cluster, calibration)) std::cerr << note << "\n";
}

Result<topology::Calibration> calibration_from(const std::string& path) {
  return path.empty() ? topology::default_calibration() : topology::load_calibration(path);
}

std::vector<const AcceleratorKind*> kinds_of(const Plan& plan, const Cluster& cluster) {
  std::vector<const AcceleratorKind*> kinds;
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    const auto where = emulator::accelerator_of(rank, plan.placement, plan.degrees);
    const AcceleratorKind* kind = &cluster.kind_of(where);
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace railwright::coordinator
