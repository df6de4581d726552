// `railwright topology show|check|list`: what a cluster file describes, whether it is right, and
// what is there to be named.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>

#include "coordinator/console.hpp"
#include "topology/files/names.hpp"
#include "topology/topology.hpp"

namespace railwright::coordinator {
namespace {

using topology::AcceleratorKind;
using topology::Cluster;
using topology::ClusterFile;
using topology::ClusterSummary;
using topology::LinkClass;

struct TopologyOptions {
  std::string cluster;
  bool json = false;
};

Result<Cluster> load(const std::string& name_or_path) {
  Result<ClusterFile> file = topology::load_cluster_file(name_or_path);
  if (!file) return tl::unexpected<Errors>(std::move(file.error()));
  for (const ConfigError& warning : file->warnings)
    std::cerr << to_string(warning, "warning") << "\n";
  return topology::build_cluster(std::move(file->spec));
}

// A sum that leaves out an accelerator that says nothing would pass for the whole.
bool all_accelerators(const Cluster& cluster,
                      const std::function<bool(const AcceleratorKind&)>& say) {
  const auto& groups = cluster.spec.nodes;
  return std::all_of(groups.begin(), groups.end(), [&](const topology::NodeGroup& group) {
    return say(cluster.spec.accelerator_kinds[static_cast<std::size_t>(group.accelerator_kind)]);
  });
}

bool prices_known(const Cluster& cluster) {
  return all_accelerators(cluster, [](const auto& kind) { return kind.price.value > 0; });
}

bool powers_known(const Cluster& cluster) {
  return all_accelerators(cluster, [](const auto& kind) { return kind.power.value > 0; });
}

Json summary_json(const Cluster& cluster, const ClusterSummary& summary) {
  Json out;
  out["name"] = cluster.spec.name;
  out["accelerators"] = summary.accelerators;
  out["nodes"] = summary.nodes;
  out["links"] = summary.links;
  out["switches"] = summary.switches;
  out["link_classes"] = Json::array();
  for (const auto& link : summary.link_classes)
    out["link_classes"].push_back(Json{{"name", link.name},
                                       {"count", link.count},
                                       {"bandwidth_bytes_per_s", link.bandwidth.bytes_per_second},
                                       {"latency_s", link.latency.value}});
  if (powers_known(cluster)) out["power_w"] = summary.power.value;
  if (prices_known(cluster)) out["cost_usd"] = summary.cost.value;
  return out;
}

std::string power_text(Watts power) {
  return power.value < 10000 ? fmt::format("{:.0f} W", power.value)
                             : fmt::format("{:.1f} kW", power.value / 1000);
}

std::string counted(int count, std::string_view what, std::string_view plural) {
  return fmt::format("{} {}", count, count == 1 ? what : plural);
}

std::string summary_line(const ClusterSummary& summary) {
  return fmt::format("{}, {}, {}, {}", counted(summary.accelerators, "accelerator", "accelerators"),
                     counted(summary.nodes, "node", "nodes"),
                     counted(summary.switches, "switch", "switches"),
                     counted(summary.links, "link", "links"));
}

void print_groups(const Cluster& cluster) {
  for (const topology::NodeGroup& group : cluster.spec.nodes) {
    const auto kind = static_cast<std::size_t>(group.accelerator_kind);
    const AcceleratorKind& accelerator = cluster.spec.accelerator_kinds[kind];
    std::cout << fmt::format("  {} x {}: {} x {} ({}, {}{})\n", group.count, group.name,
                             group.accelerators, accelerator.name, to_string(accelerator.memory),
                             to_string(accelerator.memory_bandwidth),
                             group.hosts.empty() ? "" : ", hosts named");
  }
}

void print_text(const Cluster& cluster, const ClusterSummary& summary,
                const topology::Bisection& bisection) {
  std::cout << fmt::format("{}: {}\n", cluster.spec.name, summary_line(summary));
  print_groups(cluster);
  std::vector<std::vector<std::string>> rows{{"link class", "links", "bandwidth", "latency"}};
  for (const auto& link : summary.link_classes)
    rows.push_back({link.name, std::to_string(link.count), to_string(link.bandwidth),
                    to_string(link.latency)});
  std::cout << "\n" << table(rows) << "\n";
  std::cout << fmt::format("bisection  {} per direction, {} ({})\n", to_string(bisection.bandwidth),
                           bisection.exact ? "exact" : "heuristic", bisection.method);
  const char* what = "accelerators and those link ports of which it is known";
  if (powers_known(cluster))
    std::cout << fmt::format("power      {}, {}; no switch chips, NICs or hosts\n",
                             power_text(summary.power), what);
  if (prices_known(cluster))
    std::cout << fmt::format("price      {:.0f} USD, {}\n", summary.cost.value, what);
}

int show(const TopologyOptions& options) {
  const Result<Cluster> cluster = load(options.cluster);
  if (!cluster) return report(cluster.error());
  const ClusterSummary summary = topology::summarize(*cluster);
  const topology::Bisection bisection = topology::bisection_of(*cluster);
  if (!options.json) {
    print_text(*cluster, summary, bisection);
    return exit_ok;
  }
  Json out = summary_json(*cluster, summary);
  out["bisection_bytes_per_s"] = bisection.bandwidth.bytes_per_second;
  out["bisection_kind"] = bisection.exact ? "exact" : "heuristic";
  out["bisection_method"] = bisection.method;
  print_json(out);
  return exit_ok;
}

int check(const TopologyOptions& options) {
  const Result<Cluster> cluster = load(options.cluster);
  if (!cluster) return report(cluster.error());
  const ClusterSummary summary = topology::summarize(*cluster);
  if (options.json) {
    Json out{{"ok", true}};
    out.update(summary_json(*cluster, summary));
    print_json(out);
  } else {
    std::cout << fmt::format("ok: {}: {}\n", cluster->spec.name, summary_line(summary));
  }
  return exit_ok;
}

Json accelerator_json(const AcceleratorKind& kind) {
  Json out{{"name", kind.name},
           {"vendor", kind.vendor},
           {"memory_bytes", kind.memory.count},
           {"memory_bandwidth_bytes_per_s", kind.memory_bandwidth.bytes_per_second}};
  for (const auto& [precision, rate] : kind.peak)
    out["peak_flop_per_s"][std::string(topology::name_of(topology::precision_names, precision))] =
        rate.per_second;
  if (kind.power.value > 0) out["power_w"] = kind.power.value;
  if (kind.price.value > 0) out["price_usd"] = kind.price.value;
  if (kind.dollars_per_hour > 0) out["price_usd_per_hour"] = kind.dollars_per_hour;
  out["source"] = kind.source;
  out["status"] = kind.status;
  return out;
}

Json list_json() {
  Json out;
  for (const auto& ready : topology::ready_clusters())
    out["clusters"].push_back(Json{{"name", ready.name}, {"description", ready.description}});
  for (const AcceleratorKind& kind : topology::accelerator_catalogue())
    out["accelerators"].push_back(accelerator_json(kind));
  for (const LinkClass& link : topology::link_catalogue())
    out["link_kinds"].push_back(
        Json{{"name", link.name},
             {"medium", topology::name_of(topology::medium_names, link.medium)},
             {"bandwidth_bytes_per_s", link.capacity.bytes_per_second},
             {"latency_s", link.latency.value}});
  return out;
}

void print_clusters() {
  std::vector<std::vector<std::string>> rows{{"ready cluster", "what it is"}};
  for (const auto& ready : topology::ready_clusters()) {
    const std::size_t sentence = ready.description.find(". ");
    rows.push_back({ready.name, ready.description.substr(0, sentence)});
  }
  std::cout << table(rows) << "\n";
}

void print_accelerators() {
  std::vector<std::vector<std::string>> rows{
      {"accelerator", "memory", "memory bandwidth", "bf16, dense", "power"}};
  for (const AcceleratorKind& kind : topology::accelerator_catalogue()) {
    const auto rate = kind.peak.find(topology::Precision::bf16);
    rows.push_back({kind.name, to_string(kind.memory), to_string(kind.memory_bandwidth),
                    rate == kind.peak.end() ? "-" : to_string(rate->second),
                    kind.power.value > 0 ? fmt::format("{:g} W", kind.power.value) : "-"});
  }
  std::cout << table(rows) << "\n";
}

int list(const TopologyOptions& options) {
  if (options.json) {
    print_json(list_json());
    return exit_ok;
  }
  print_clusters();
  print_accelerators();
  std::vector<std::vector<std::string>> rows{
      {"link kind", "bandwidth per direction", "latency", "medium"}};
  for (const LinkClass& link : topology::link_catalogue())
    rows.push_back({link.name, to_string(link.capacity), to_string(link.latency),
                    std::string(topology::name_of(topology::medium_names, link.medium))});
  std::cout << table(rows);
  return exit_ok;
}

using Verb = int (*)(const TopologyOptions&);

CLI::App* add_verb(CLI::App& parent, CommandLine& line, const char* name, const char* text,
                   Verb verb, const std::shared_ptr<TopologyOptions>& options) {
  CLI::App* app = parent.add_subcommand(name, text);
  app->add_flag("--json", options->json, "One JSON document on stdout, SI base units");
  app->final_callback(
      [&line, options, verb] { line.run = [options, verb] { return verb(*options); }; });
  return app;
}

void add_cluster(CLI::App& app, const std::shared_ptr<TopologyOptions>& options) {
  auto* place = app.add_option("cluster,-c,--cluster", options->cluster,
                               "A cluster file (docs/cluster.md) or the name of a ready cluster");
  place->required()->type_name("FILE|NAME");
}

}  // namespace

void add_topology_command(CommandLine& line) {
  CLI::App* topology = line.app.add_subcommand("topology", "Describe and check clusters");
  topology->require_subcommand(1);
  const auto options = std::make_shared<TopologyOptions>();
  topology->footer(
      "Bandwidths are per direction; GB = 1e9 bytes, Gb/s = 1e9 bits/s.\n"
      "Example: railwright topology show dgx-h100 --json");
  const auto add_cluster_verb = [&](const std::string& name, const char* text, Verb verb,
                                    const char* example) {
    CLI::App* app = add_verb(*topology, line, name.c_str(), text, verb, options);
    app->footer("Example: railwright topology " + name + " " + example);
    add_cluster(*app, options);
  };
  add_cluster_verb("show",
                   "What a cluster is made of: counts, link classes with bandwidth (per direction) "
                   "and latency, bisection, power, price",
                   show, "dgx-h100-4");
  add_cluster_verb("check",
                   "Validate a cluster file: says ok, or prints all errors with file:line:column "
                   "and exits with 2",
                   check, "my-cluster.yaml");
  add_verb(*topology, line, "list", "Ready clusters, accelerators and link kinds", list, options)
      ->footer("Example: railwright topology list");
}

}  // namespace railwright::coordinator
