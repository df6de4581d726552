#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "worker/run/counters.hpp"
#include "worker/run/run.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::json;

struct LinkTotal {
  double sent = 0, received = 0, wait = 0;
};

// `time` was spent in collectives that the limiting links among `links` hold back.
void add_links(std::map<int, LinkTotal>& total, const std::vector<LinkBytes>& links, double times,
               Seconds time) {
  for (const LinkBytes& link : links) {
    LinkTotal& sum = total[link.link.index];
    sum.sent += times * link.sent;
    sum.received += times * link.received;
    if (link.limits) sum.wait += time.value;
  }
}

// What one rank contributes, as the machine's first rank reads it.
Json contribution(const World& world, const Part& part, const Record& record) {
  std::map<int, LinkTotal> links;
  Json collectives = Json::array();
  for (std::size_t i = 0; i < part.kinds.size(); ++i) {
    const Kind& kind = part.kinds[i];
    const KindRecord& seen = record.kinds[i];
    const auto calls = static_cast<double>(seen.calls);
    add_links(links, kind.links, calls, seen.time);
    collectives.push_back({{"op", to_string(kind.operation)},
                           {"algorithm", algorithm_name(kind)},
                           {"group", to_string(kind.group.dimension)},
                           {"bounds", seen.duration.bounds},
                           {"counts", seen.duration.counts},
                           {"sum", seen.duration.sum},
                           {"expected", kind.expected.value},
                           {"bound", kind.bound.value},
                           {"bytes", calls * static_cast<double>(kind.size.count)}});
  }
  add_links(links, part.pipeline, static_cast<double>(record.steps.size()), {});
  Json json = {{"rank", world.rank}, {"wait", record.wait.value}, {"collectives", collectives}};
  json["links"] = Json::array();
  for (const auto& [link, sum] : links)
    json["links"].push_back({link, sum.sent, sum.received, sum.wait});
  json["edges"] = edges_of(record.edges);
  return json;
}

telemetry::LinkSample sample_of(const topology::Graph& graph, topology::LinkId link,
                                const Json& entry) {
  telemetry::LinkSample sample;
  sample.link = graph.name_of(link);
  sample.link_class = graph.class_of(link).name;
  sample.source = "attributed";
  sample.transmit_bytes = entry[1];
  sample.receive_bytes = entry[2];
  sample.wait_seconds = entry[3];
  sample.capacity_bytes_per_second = graph.capacity(link).bytes_per_second;
  sample.busy_seconds = sample.transmit_bytes / sample.capacity_bytes_per_second;
  return sample;
}

// Each link by name and, without a name, as part of its class: equal labels are added up.
void add_link(telemetry::Snapshot& snapshot, const topology::Graph& graph, const Json& entry) {
  telemetry::LinkSample sample = sample_of(graph, {entry[0].get<int>()}, entry);
  snapshot.links.push_back(sample);
  sample.link.clear();
  snapshot.links.push_back(sample);
}

// From rank to rank, by the time stamps of both.
void add_edge(telemetry::Snapshot& snapshot, const Json& edge) {
  telemetry::LinkSample sample;
  sample.link =
      fmt::format("rank{}-rank{}", edge["ranks"][0].get<int>(), edge["ranks"][1].get<int>());
  sample.link_class = "edge";
  sample.source = "measured";
  sample.transmit_bytes = sample.receive_bytes = edge["bytes"];
  sample.busy_seconds = edge["time_s"];
  snapshot.links.push_back(sample);
  sample.link.clear();
  snapshot.links.push_back(sample);
}

void add_collective(telemetry::Snapshot& snapshot, const Json& entry, bool opaque) {
  telemetry::CollectiveSample sample;
  sample.operation = entry["op"];
  sample.algorithm = opaque ? std::string("opaque") : entry["algorithm"].get<std::string>();
  sample.group = entry["group"];
  sample.duration.bounds = entry["bounds"].get<std::vector<double>>();
  sample.duration.counts = entry["counts"].get<std::vector<std::uint64_t>>();
  sample.duration.sum = entry["sum"];
  sample.expected_seconds = entry["expected"];
  sample.bytes_total = entry["bytes"];
  sample.bound_seconds = entry["bound"];
  snapshot.collectives.push_back(std::move(sample));
}

}  // namespace

telemetry::Snapshot snapshot_of_plan(const emulator::Plan& plan, const topology::Cluster& cluster) {
  telemetry::Snapshot snapshot;
  const workload::Degrees& degrees = plan.degrees;
  for (const auto& [name, value] : {std::pair("tp", degrees.tp),
                                    {"pp", degrees.pp},
                                    {"dp", degrees.dp},
                                    {"cp", degrees.cp},
                                    {"zero_stage", degrees.zero_stage},
                                    {"micro_batch", degrees.micro_batch}})
    snapshot.plan[name] = std::to_string(value);
  snapshot.plan["model"] = plan.training.model.name;
  snapshot.plan["cluster_name"] = plan.cluster.name;
  snapshot.plan["recompute"] = to_string(degrees.recompute);
  snapshot.predicted_step_seconds = plan.prediction.step_time.value;
  snapshot.step_duration = telemetry::Histogram::around(plan.prediction.step_time);
  snapshot.hbm_used_bytes = static_cast<double>(plan.prediction.peak_memory.count);
  const auto first = emulator::accelerator_of(0, plan.placement, plan.degrees);
  snapshot.hbm_capacity_bytes = static_cast<double>(cluster.kind_of(first).memory.count);
  return snapshot;
}

NodeMetrics::NodeMetrics(const World& world, const RunOptions& options, const std::string& mode)
    : world_(world), options_(options), mode_(mode) {}

bool NodeMetrics::wanted() const {
  return !options_.metrics_address.empty() || !options_.metrics_textfile.empty();
}

Errors NodeMetrics::listen() {
  if (options_.metrics_address.empty() || !world_.first_of_node()) return {};
  auto exporter = telemetry::Exporter::listen(options_.metrics_address);
  if (!exporter) return exporter.error();
  exporter_ = std::move(*exporter);
  return {};
}

std::string NodeMetrics::served_at() const {
  if (!exporter_) return {};
  const std::string& address = options_.metrics_address;
  return address.substr(0, address.rfind(':') + 1) + std::to_string(exporter_->port());
}

void NodeMetrics::publish(telemetry::Snapshot snapshot) {
  latest_ = std::move(snapshot);
  latest_.mode = mode_;
  if (exporter_) exporter_->publish(latest_);
}

void NodeMetrics::publish(const Part& part, const Record& record, const std::string& state) {
  const auto texts = gather_text(world_, world_.node, contribution(world_, part, record).dump());
  if (!world_.first_of_node()) return;
  telemetry::Snapshot snapshot = snapshot_of_plan(part.plan, *part.cluster);
  for (const std::string& text : texts) {
    const Json json = Json::parse(text);
    snapshot.rank_wait_seconds[json["rank"]] = json["wait"];
    for (const Json& entry : json["links"]) add_link(snapshot, part.cluster->graph, entry);
    for (const Json& edge : json["edges"]) add_edge(snapshot, edge);
    for (const Json& entry : json["collectives"]) add_collective(snapshot, entry, is_opaque(mode_));
  }
  for (const telemetry::LinkSample& port : port_counters(options_.counters_root)) {
    snapshot.links.push_back(port);
    snapshot.links.push_back(port);
    snapshot.links.back().link.clear();  // its class
  }
  snapshot.steps = record.steps.size();
  snapshot.workers = {{"running", 0}, {"done", 0}, {"lost", 0}};
  snapshot.workers[state] = world_.node_size;
  snapshot.step_duration = record.step_duration;
  if (snapshot.predicted_step_seconds > 0)
    snapshot.prediction_ratio = typical_step(record.steps).value / snapshot.predicted_step_seconds;
  publish(std::move(snapshot));
}

Errors NodeMetrics::write_textfile() const {
  if (options_.metrics_textfile.empty() || !world_.first_of_node()) return {};
  return write_file(options_.metrics_textfile, telemetry::render(latest_));
}

}  // namespace railwright::worker
