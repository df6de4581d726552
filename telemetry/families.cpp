#include "telemetry/families.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "topology/version.hpp"

namespace railwright::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// HELP must stay on one line without backslashes: prometheus-cpp 1.0.1 does not escape it.
MetricFamily family(const std::string& name, MetricType type, const std::string& help) {
  return {"railwright_" + name, help, type, {}};
}

void add(MetricFamily& family, Labels labels, double value) {
  if (!std::isfinite(value)) return;
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = value;
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

void add(MetricFamily& family, Labels labels, const Histogram& histogram) {
  if (histogram.counts.size() != histogram.bounds.size() + 1) return;
  if (!std::isfinite(histogram.sum)) return;
  ClientMetric metric;
  metric.label = std::move(labels);
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < histogram.bounds.size(); ++i) {
    cumulative += histogram.counts[i];
    metric.histogram.bucket.push_back({cumulative, histogram.bounds[i]});
  }
  metric.histogram.sample_count = cumulative + histogram.counts.back();
  metric.histogram.sample_sum = histogram.sum;
  family.metric.push_back(std::move(metric));
}

MetricFamily single(const std::string& name, MetricType type, const std::string& help,
                    double value) {
  MetricFamily result = family(name, type, help);
  add(result, {}, value);
  return result;
}

// Label names of plan_info come from the caller; what Prometheus would refuse is left out.
bool is_label_name(const std::string& name) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
         name.rfind("__", 0) != 0 && std::all_of(name.begin(), name.end(), allowed);
}

void merge_into(LinkSample& whole, const LinkSample& part) {
  whole.transmit_bytes += part.transmit_bytes;
  whole.receive_bytes += part.receive_bytes;
  whole.busy_seconds += part.busy_seconds;
  whole.wait_seconds += part.wait_seconds;
  whole.capacity_bytes_per_second =
      std::max(whole.capacity_bytes_per_second, part.capacity_bytes_per_second);
}

// The links of each class that hold transfers back longest, then the busiest; the classes take
// turns, so that no class takes all the names.
std::vector<LinkSample> named_in_turn(std::vector<LinkSample> named) {
  std::stable_sort(named.begin(), named.end(), [](const LinkSample& a, const LinkSample& b) {
    return std::pair(a.wait_seconds, a.transmit_bytes + a.receive_bytes) >
           std::pair(b.wait_seconds, b.transmit_bytes + b.receive_bytes);
  });
  std::map<std::string, int> taken;
  std::vector<std::pair<int, const LinkSample*>> turns;
  for (const LinkSample& sample : named) turns.emplace_back(taken[sample.link_class]++, &sample);
  std::stable_sort(turns.begin(), turns.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (turns.size() > named_links) turns.resize(named_links);
  std::vector<LinkSample> result;
  for (const auto& [turn, sample] : turns) result.push_back(*sample);
  return result;
}

// Whole classes first, then the named links.
std::vector<LinkSample> shown_links(const std::vector<LinkSample>& links) {
  std::map<std::tuple<std::string, std::string, std::string>, LinkSample> unique;
  for (const LinkSample& sample : links) {
    const auto key = std::tuple(sample.link, sample.link_class, sample.source);
    const auto [place, fresh] = unique.try_emplace(key, sample);
    if (!fresh) merge_into(place->second, sample);
  }
  std::vector<LinkSample> classes, named;
  for (const auto& [key, sample] : unique)
    (sample.link.empty() ? classes : named).push_back(sample);
  named = named_in_turn(std::move(named));
  classes.insert(classes.end(), named.begin(), named.end());
  return classes;
}

void add_links(std::vector<MetricFamily>& out, const Snapshot& snapshot) {
  const std::vector<LinkSample> links = shown_links(snapshot.links);
  // Hardware counts bytes and nothing else, and may not know its rate; edges know how long they
  // were busy.
  const auto knows = [](const LinkSample& sample, double LinkSample::*value) {
    if (sample.source != "measured") return true;
    if (value == &LinkSample::capacity_bytes_per_second || value == &LinkSample::busy_seconds)
      return sample.*value > 0;
    return value != &LinkSample::wait_seconds;
  };
  const auto add_family = [&](const std::string& name, MetricType type, const std::string& help,
                              double LinkSample::*value) {
    MetricFamily result = family(name, type, help);
    for (const LinkSample& sample : links) {
      if (!knows(sample, value)) continue;
      Labels labels = {{"class", sample.link_class}, {"source", sample.source}};
      if (!sample.link.empty()) labels.push_back({"link", sample.link});
      add(result, std::move(labels), sample.*value);
    }
    out.push_back(std::move(result));
  };
  using S = LinkSample;
  add_family("link_transmit_bytes_total", MetricType::Counter,
             "Bytes that entered the links. Without a link label: the whole class.",
             &S::transmit_bytes);
  add_family("link_receive_bytes_total", MetricType::Counter,
             "Bytes that left the links at their far end.", &S::receive_bytes);
  add_family("link_capacity_bytes_per_second", MetricType::Gauge,
             "Line rate of one link, one direction.", &S::capacity_bytes_per_second);
  add_family("link_busy_seconds_total", MetricType::Counter,
             "Time with data on the links, in seconds.", &S::busy_seconds);
  add_family("link_wait_seconds_total", MetricType::Counter,
             "Time that transfers spent limited by the links, in seconds.", &S::wait_seconds);
}

// Calls of one operation may differ in size. Buckets of the second go to the bucket of the first
// that holds their upper bound; the expectation is the mean over calls.
void merge_into(CollectiveSample& whole, const CollectiveSample& part) {
  const auto calls = [](const Histogram& h) {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : h.counts) sum += count;
    return static_cast<double>(sum);
  };
  const double before = calls(whole.duration), added = calls(part.duration);
  if (before + added > 0)
    whole.expected_seconds =
        (before * whole.expected_seconds + added * part.expected_seconds) / (before + added);
  if (before + added > 0 && whole.bound_seconds > 0 && part.bound_seconds > 0)
    whole.bound_seconds =
        (before * whole.bound_seconds + added * part.bound_seconds) / (before + added);
  const std::vector<double>& bounds = whole.duration.bounds;
  for (std::size_t i = 0; i < part.duration.counts.size(); ++i) {
    const auto place = i < part.duration.bounds.size()
                           ? std::lower_bound(bounds.begin(), bounds.end(), part.duration.bounds[i])
                           : bounds.end();
    whole.duration.counts[place - bounds.begin()] += part.duration.counts[i];
  }
  whole.duration.sum += part.duration.sum;
  whole.bytes_total += part.bytes_total;
}

std::vector<CollectiveSample> shown_collectives(const std::vector<CollectiveSample>& samples) {
  std::map<std::tuple<std::string, std::string, std::string>, CollectiveSample> unique;
  for (const CollectiveSample& sample : samples) {
    const auto key = std::tuple(sample.operation, sample.algorithm, sample.group);
    const auto [place, fresh] = unique.try_emplace(key, sample);
    place->second.duration.counts.resize(place->second.duration.bounds.size() + 1);
    if (!fresh) merge_into(place->second, sample);
  }
  std::vector<CollectiveSample> result;
  for (auto& [key, sample] : unique) result.push_back(std::move(sample));
  return result;
}

void add_collectives(std::vector<MetricFamily>& out, const Snapshot& snapshot) {
  MetricFamily duration = family("collective_duration_seconds", MetricType::Histogram,
                                 "Time of one collective, all members there to end.");
  MetricFamily expected = family("collective_expected_seconds", MetricType::Gauge,
                                 "Predicted time of one collective, mean over its calls.");
  MetricFamily bytes = family("collective_bytes_total", MetricType::Counter,
                              "Bytes of the vectors that collectives worked on.");
  MetricFamily bound = family("collective_bound_seconds", MetricType::Gauge,
                              "What no schedule takes less than, mean over the calls.");
  for (const CollectiveSample& sample : shown_collectives(snapshot.collectives)) {
    const Labels labels = {
        {"op", sample.operation}, {"algorithm", sample.algorithm}, {"group", sample.group}};
    add(duration, labels, sample.duration);
    add(expected, labels, sample.expected_seconds);
    add(bytes, labels, sample.bytes_total);
    if (sample.bound_seconds > 0) add(bound, labels, sample.bound_seconds);
  }
  out.insert(out.end(),
             {std::move(duration), std::move(expected), std::move(bytes), std::move(bound)});
}

void add_step(std::vector<MetricFamily>& out, const Snapshot& snapshot) {
  MetricFamily duration =
      family("step_duration_seconds", MetricType::Histogram, "Time of one training step.");
  add(duration, {}, snapshot.step_duration);
  MetricFamily blame = family("step_blame_seconds_total", MetricType::Counter,
                              "Time of the steps' critical path by cause; adds up to the steps.");
  for (const auto& [cause, value] : snapshot.blame_seconds) add(blame, {{"cause", cause}}, value);
  MetricFamily wait = family("rank_wait_seconds_total", MetricType::Counter,
                             "Time that a rank waited for its peers.");
  for (const auto& [rank, value] : snapshot.rank_wait_seconds)
    add(wait, {{"rank", std::to_string(rank)}}, value);
  out.push_back(std::move(duration));
  out.push_back(single("steps_total", MetricType::Counter, "Training steps that ended.",
                       static_cast<double>(snapshot.steps)));
  out.insert(out.end(), {std::move(blame), std::move(wait)});
}

void add_prediction(std::vector<MetricFamily>& out, const Snapshot& snapshot) {
  if (snapshot.predicted_step_seconds > 0)
    out.push_back(single("predicted_step_seconds", MetricType::Gauge,
                         "Step time that the plan predicts.", snapshot.predicted_step_seconds));
  if (snapshot.prediction_ratio > 0)
    out.push_back(single("prediction_ratio", MetricType::Gauge,
                         "Step time observed over step time predicted.",
                         snapshot.prediction_ratio));
  if (snapshot.hbm_capacity_bytes > 0) {
    out.push_back(single("hbm_used_bytes", MetricType::Gauge,
                         "Memory that the fullest accelerator needs at its peak, as planned.",
                         snapshot.hbm_used_bytes));
    out.push_back(single("hbm_capacity_bytes", MetricType::Gauge, "Memory of that accelerator.",
                         snapshot.hbm_capacity_bytes));
  }
}

constexpr const char* job_states[] = {"running", "completed", "failed"};

void add_state(std::vector<MetricFamily>& out, const Snapshot& snapshot) {
  MetricFamily workers = family("workers", MetricType::Gauge, "Workers by state.");
  for (const auto& [state, count] : snapshot.workers) add(workers, {{"state", state}}, count);
  MetricFamily job = family("job_state", MetricType::Gauge, "1 for the state that the job is in.");
  if (!snapshot.job_state.empty())
    for (const char* state : job_states)
      add(job, {{"state", state}}, snapshot.job_state == state ? 1 : 0);
  out.insert(out.end(), {std::move(workers), std::move(job)});
  if (snapshot.last_heartbeat_seconds > 0)
    out.push_back(single("worker_last_heartbeat_timestamp_seconds", MetricType::Gauge,
                         "When the workers were last heard of, as Unix time.",
                         snapshot.last_heartbeat_seconds));
  if (snapshot.power_watts > 0)
    out.push_back(single("power_watts", MetricType::Gauge,
                         "Accelerators at their rated power, and the links.",
                         snapshot.power_watts));
}

void add_identity(std::vector<MetricFamily>& out, const Snapshot& snapshot) {
  MetricFamily plan = family("plan_info", MetricType::Gauge, "What is run; always 1.");
  Labels labels;
  for (const auto& [name, value] : snapshot.plan)
    if (is_label_name(name)) labels.push_back({name, value});
  if (!snapshot.plan.empty()) add(plan, std::move(labels), 1);
  MetricFamily build = family("build_info", MetricType::Gauge, "The program; always 1.");
  add(build, {{"version", tool_version}}, 1);
  MetricFamily mode = family("mode_info", MetricType::Gauge,
                             "Whether the run is emulated or moves data, and by what; always 1.");
  add(mode, {{"mode", snapshot.mode}}, 1);
  out.insert(out.end(), {std::move(plan), std::move(build), std::move(mode)});
  if (snapshot.mode == "emulated")
    out.push_back(single("virtual_time_seconds_total", MetricType::Counter,
                         "Virtual time that the emulation has reached, in seconds.",
                         snapshot.virtual_time_seconds));
}

}  // namespace

std::vector<MetricFamily> families_of(const Snapshot& snapshot) {
  std::vector<MetricFamily> result;
  add_step(result, snapshot);
  add_collectives(result, snapshot);
  add_links(result, snapshot);
  add_prediction(result, snapshot);
  add_state(result, snapshot);
  add_identity(result, snapshot);
  std::erase_if(result, [](const MetricFamily& f) { return f.metric.empty(); });
  return result;
}

}  // namespace railwright::telemetry
